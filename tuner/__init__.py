"""The search: scenarios, oracle, tuner, cross-validation, and the choice of the winner."""
