"""The gate's result where code is reviewed: on GitHub and on GitLab."""
