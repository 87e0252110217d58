"""The command line: from twin.toml to a release."""
