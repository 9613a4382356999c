-- Of ARGV[1] messages, as many as every bucket has (KEYS; their rates follow in ARGV) are taken from all of them; no
-- rate is 0. Gives how many, and the microseconds until there may be another. As `buckets.rs` does for one process.
-- A bucket has a level in millionths of messages, the microsecond in which it had it, and until when it is held.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local allowed, wait, levels = tonumber(ARGV[1]), 0, {}
for i, key in ipairs(KEYS) do
    local rate = tonumber(ARGV[i + 1])
    local bucket = redis.call('HMGET', key, 'level', 'at', 'held')
    local held = tonumber(bucket[3]) or 0
    if held > now then
        allowed, wait = 0, math.max(wait, held - now)
    elseif rate > 0 then
        local elapsed = math.max(0, math.min(now - (tonumber(bucket[2]) or now), 1000000))
        levels[i] = math.min((tonumber(bucket[1]) or 0) + elapsed * rate, rate * 1000000)
        allowed = math.min(allowed, math.floor(levels[i] / 1000000))
    end
end
for i, key in ipairs(KEYS) do
    if levels[i] then
        local level = levels[i] - allowed * 1000000
        wait = math.max(wait, math.ceil((1000000 - level) / tonumber(ARGV[i + 1])))
        redis.call('HSET', key, 'level', string.format('%.0f', level), 'at', string.format('%.0f', now))
        redis.call('PEXPIRE', key, 600000)
    end
end
return {allowed, wait}
