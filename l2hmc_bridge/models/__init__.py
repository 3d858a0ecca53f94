"""The bundles that ship; `default()` names the one that `sample` takes when none is given."""
