"""Times of the file formats and of the conversion of live host fields."""
