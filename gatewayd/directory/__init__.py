"""The lists of a site that stands alone: spreadsheets in and out, the same signed list inside."""
