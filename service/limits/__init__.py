"""Limits of users and tenants: rate limits, budgets, storage quotas."""
