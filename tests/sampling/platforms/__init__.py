"""Tests of stn_jax/sampling/platforms."""
