"""Events in and out: one object takes them, keeps them and tells everybody who listens."""
