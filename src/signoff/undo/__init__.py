"""Ready-made undos for what agents touch: files, rows, commits, HTTP resources."""
