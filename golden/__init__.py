"""The reference models: float models that learn (torch), the integer model (numpy)."""
