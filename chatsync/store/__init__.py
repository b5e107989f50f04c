"""Everything on disk: journal and catalog in SQLite, slices as files, the archive in Parquet read through DuckDB."""
