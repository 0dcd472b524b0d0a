"""Tests of stn_jax/sampling; a package, so that other rooms may have files of the same names."""
