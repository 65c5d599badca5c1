-- Branches of a session: which of its messages are live, and which are abandoned.
--
-- The field `abandoned` lists the positions of abandoned messages as ranges `first-end`, sorted, the
-- end excluded. The field `forks` lists the positions whose message does not follow the one before
-- it, as `position:predecessor`, -1 for none. Joined before the scripts that use it.
local function parse_ranges(text)
  local ranges = {}
  for first, upto in string.gmatch(text or '', '(%d+)-(%d+)') do
    ranges[#ranges + 1] = {tonumber(first), tonumber(upto)}
  end
  return ranges
end

local function ranges_text(ranges)
  local parts = {}
  for _, range in ipairs(ranges) do
    parts[#parts + 1] = range[1] .. '-' .. range[2]
  end
  return table.concat(parts, ' ')
end

-- The ranges of live messages among the positions `from` to `upto - 1`.
local function live_runs(ranges, from, upto)
  local runs = {}
  for _, range in ipairs(ranges) do
    if range[1] >= upto then
      break
    end
    if range[2] > from then
      if range[1] > from then
        runs[#runs + 1] = {from, range[1]}
      end
      from = range[2]
    end
  end
  if from < upto then
    runs[#runs + 1] = {from, upto}
  end
  return runs
end

local function live_count(ranges, length)
  for _, range in ipairs(ranges) do
    length = length - (range[2] - range[1])
  end
  return length
end

-- The position of the first of the last `count` live messages.
local function live_tail(ranges, length, count)
  for at = #ranges, 1, -1 do
    local run = length - ranges[at][2]
    if run >= count then
      return length - count
    end
    count, length = count - run, ranges[at][1]
  end
  return math.max(0, length - count)
end

-- The position of the last live message before a position, -1 if there is none.
local function last_live(ranges, position)
  position = position - 1
  for at = #ranges, 1, -1 do
    if position >= ranges[at][1] and position < ranges[at][2] then
      position = ranges[at][1] - 1
    end
  end
  return position
end

-- The ranges with all positions from `from` to the end of the session added.
local function with_abandoned(ranges, from, length)
  local merged = {}
  if from >= length then
    return ranges
  end
  for _, range in ipairs(ranges) do
    if range[2] < from then
      merged[#merged + 1] = range
    else
      from = math.min(from, range[1])
    end
  end
  merged[#merged + 1] = {from, length}
  return merged
end

-- The positions folded_upto and summarized_upto once the live messages from `from` on are abandoned:
-- what covers one of them is made again.
local function fold_positions(ranges, from, folded, summarized)
  if #live_runs(ranges, from, summarized) > 0 then
    return 0, 0
  end
  if #live_runs(ranges, math.max(from, summarized), folded) > 0 then
    return summarized, summarized
  end
  return folded, summarized
end

-- The live messages of a session from one position up to another: position, messages, ...
local function read_live(prefix, sid, ranges, from, upto)
  local found = {}
  for _, run in ipairs(live_runs(ranges, from, upto)) do
    found[#found + 1] = run[1]
    found[#found + 1] = redis.call('LRANGE', prefix .. 'messages:' .. sid, run[1], run[2] - 1)
  end
  return found
end

