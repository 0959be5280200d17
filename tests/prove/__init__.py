"""The long proofs of `make prove`: each bounded by its arguments, each printing its figures."""
