"""Rollouts: a signed bundle is published once and reaches the fleet ring by ring, as long as the traps stay well."""
