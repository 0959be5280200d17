"""What is kept on disk: SQLite files and pictures."""
