"""The command line: neural-isp. Imports in milliseconds; each command loads what it needs when it runs."""
