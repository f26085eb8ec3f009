"""The notifier: live notifications for connected people, the one part that runs on AKS."""
