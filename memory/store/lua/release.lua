-- Release texts from quarantine; every view hears of it through the log.
-- KEYS[1] the user's prefix   ARGV 1 log entries to keep   2.. ids of messages and records
local prefix, released = KEYS[1], 0
for at = 2, #ARGV do
  if redis.call('SADD', prefix .. 'released', ARGV[at]) == 1 then
    redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ARGV[1], '0-*', 'release', ARGV[at])
    released = released + 1
  end
end
return released
