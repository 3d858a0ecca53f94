"""Files that are written whole or not at all, folders that one process owns, content of others.

`atomic`: a temporary name, synced and renamed; `together`: several at once. `lock`: one run in a
folder. `regular`: no pipe, no device, no link in one's own folder. `parsing`, `tensors` and
`text_rows`: JSON, TOML, safetensors and CSV of unknown origin, within bounds.
"""
