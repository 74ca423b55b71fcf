"""The composition root: the only place that sees everything. stdout is data, stderr is words, exit codes are an enum."""
