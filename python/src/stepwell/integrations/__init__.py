"""Callbacks for training libraries. Each imports its library."""
