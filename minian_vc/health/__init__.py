"""Keeping a repository healthy: verify, repair, rebuild."""
