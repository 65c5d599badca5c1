-- Reads the changes that an index has not applied yet. Joined before the scripts that use it.
--
-- Entries of the log are numbered 0-1, 0-2, ... without gaps. They name messages by session and
-- position; messages and vectors are read from where they are stored. The reply is `reload` if an
-- index needs entries that were trimmed, or is ahead of the log because a failover lost entries.
-- An empty index is filled from the log if the log is still complete.
local function read_changes(prefix, epoch, sequence, max_messages)
  local current = redis.call('HGET', prefix .. 'user', 'epoch')
  if not current then
    return {'', 0, 'ok', {}}
  end
  if current ~= epoch then
    sequence = 0
  end
  local newest = redis.call('XREVRANGE', prefix .. 'log', '+', '-', 'COUNT', 1)
  local last = newest[1] and tonumber(string.sub(newest[1][1], 3)) or 0
  if sequence > last then
    return {current, last, 'reload', {}}
  end
  local items, messages = {}, 0
  while sequence < last do
    local batch = redis.call(
      'XRANGE', prefix .. 'log', '0-' .. (sequence + 1), '+', 'COUNT', 64)
    for _, entry in ipairs(batch) do
      local number = tonumber(string.sub(entry[1], 3))
      if number ~= sequence + 1 then
        return {current, last, 'reload', {}}
      end
      if messages >= max_messages then
        return {current, sequence, 'more', items}
      end
      local fields = entry[2]
      if fields[1] == 'put' then
        local sid, first, count = fields[2], tonumber(fields[4]), tonumber(fields[6])
        local packed = redis.call(
          'LRANGE', prefix .. 'messages:' .. sid, first, first + count - 1)
        if #packed > 0 then
          local vectors = {}
          for start = 0, #packed - 1, 1000 do
            local ids = {}
            for offset = start, math.min(start + 999, #packed - 1) do
              ids[#ids + 1] = sid .. ':' .. (first + offset)
            end
            for _, vector in ipairs(redis.call('HMGET', prefix .. 'vectors', unpack(ids))) do
              vectors[#vectors + 1] = vector
            end
          end
          items[#items + 1] = {'put', sid, first, packed, vectors}
          messages = messages + #packed
        end
      elseif fields[1] == 'record' then
        local id = fields[2]
        items[#items + 1] = {'record', id, redis.call('HGET', prefix .. 'records', id),
          redis.call('HGET', prefix .. 'vectors', id)}
        messages = messages + 1
      elseif fields[1] == 'abandon' then
        items[#items + 1] = {'abandon', fields[2], tonumber(fields[4]), tonumber(fields[6])}
      else
        items[#items + 1] = {fields[1], fields[2]}
      end
      sequence = number
    end
    if #batch == 0 then
      return {current, last, 'reload', {}}
    end
  end
  return {current, sequence, 'ok', items}
end
