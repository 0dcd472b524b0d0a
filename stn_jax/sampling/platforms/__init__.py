"""What each platform is quick at."""
