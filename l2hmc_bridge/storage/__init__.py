"""Files that are written whole or not at all, folders that one process owns, content of others.

`atomic`: a temporary name, synced and renamed; `together`: several at once. `lock`: one run in a
folder. `regular`: no pipe, no
device, no link in one's own folder. `parsing` and `tensors`: JSON, TOML and safetensors of unknown
origin, within bounds.
"""
