"""What is declared in several places says the same: version, Python, extras, commands of CI."""

import re
import tomllib

import pytest
import yaml

import l2hmc_bridge as lb
from tests.support.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))


def test_the_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert "version" in PROJECT["dynamic"]
    assert citation["version"] == lb.__version__
    assert f"\n## {lb.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_whoever_cites_is_told_the_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    urls = {one["url"] for one in citation["references"]}
    assert {f"https://arxiv.org/abs/{number}" for number in
            ("2312.08936", "2112.01582", "2105.03418", "1711.09268")} == urls
    assert PROJECT["urls"]["Method"] in urls


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_what_is_there(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    for job in jobs.values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands
        for command in commands:
            for target in re.findall(r"make ([\w-]+)", command):
                assert target in targets(), f"{path.name}: {target}"


def test_ci_tests_every_python_that_is_declared():
    (suite,) = [job for path in WORKFLOWS for name, job in
                yaml.safe_load(path.read_text())["jobs"].items() if name == "suite"]
    declared = [line.rpartition(" ")[2] for line in PROJECT["classifiers"]
                if re.search(r":: 3\.\d+$", line)]
    assert suite["strategy"]["matrix"]["python"] == declared
    assert PROJECT["requires-python"] == f">={declared[0]}"
    assert suite["strategy"]["matrix"]["kernels"] == ["compiled", "torch"]


def test_every_requirement_of_an_extra_is_pinned():
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.M))
    for name, wanted in PROJECT["optional-dependencies"].items():
        for one in wanted:
            package = re.match(r"[\w.-]+", one)[0]
            assert package in pinned | {"l2hmc-bridge"}, f"{name}: {package}"


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80
