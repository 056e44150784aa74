"""The search: scenarios, hypermodel, cross-validation oracle and tuner, and the choice of the winner."""
