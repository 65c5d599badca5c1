-- More changes for a view that one snapshot could not bring up to date.
-- KEYS[1] the user's prefix   ARGV 1 epoch   2 sequence   3 messages at most
return read_changes(KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
