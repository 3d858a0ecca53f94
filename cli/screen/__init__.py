"""What a person sees: progress, tables, files that were written, options that verbs share."""
