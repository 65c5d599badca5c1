"""What tests share: processes forked from a warm one, and the end of those that are left over."""
