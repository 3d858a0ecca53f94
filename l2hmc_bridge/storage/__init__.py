"""Files that are written whole or not at all, and folders that one process owns.

`atomic`: a temporary name, synced and renamed. `lock`: one run in a folder.
"""
