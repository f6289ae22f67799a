"""The same artifact for Kubernetes and for Ansible."""
