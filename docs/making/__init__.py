"""What makes the site: pages that lie elsewhere, pictures and tables from the JSON of real runs.

`hooks` is called by MkDocs, `mounted` says which files of the repository are pages, `pictures` and
`commands` make pages and pictures when the site is built. `screen` and `trajectories` are run by
hand: what they make lies in docs/pictures.
"""
