"""What tests read: configurations, and modules that configurations name."""
