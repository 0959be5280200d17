"""The lists of a site that stands alone: spreadsheets in, spreadsheets out, the same signed list."""
