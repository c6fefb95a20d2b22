"""What a promotion is judged by: when it may land, what its target gains, and what Staging proves."""
