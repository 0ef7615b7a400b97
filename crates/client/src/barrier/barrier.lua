-- The barrier in Redis: one hash for each step of a saga decides, one key for each lock key fences.
--
-- KEYS[1]   the step's hash: fields {op}:state, :status, :type, :body, :round, :until
-- KEYS[2..] the lock keys' tokens
-- ARGV[1]   'begin' or 'settle'
--
-- Nothing is written before everything is decided: a script has no way back.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function read(op)
    local found = redis.call('HMGET', KEYS[1],
        op .. ':state', op .. ':status', op .. ':type', op .. ':body', op .. ':round', op .. ':until')
    if not found[1] then return nil end
    return { state = found[1], status = found[2] or '', type = found[3] or '', body = found[4] or '',
        round = tonumber(found[5]), until_ms = tonumber(found[6]) }
end

local function write(op, state, status, type, body, round, until_ms, keep_ms)
    redis.call('HSET', KEYS[1], op .. ':state', state, op .. ':status', status, op .. ':type', type,
        op .. ':body', body, op .. ':round', string.format('%.0f', round),
        op .. ':until', string.format('%.0f', until_ms))
    redis.call('PEXPIRE', KEYS[1], keep_ms)
end

if ARGV[1] == 'settle' then
    -- 2 op, 3 round, 4 state, 5 status, 6 type, 7 body, 8 milliseconds to keep it
    local own = read(ARGV[2])
    if not own or own.state ~= 'started' or own.round ~= tonumber(ARGV[3]) then return { 'lost' } end
    write(ARGV[2], ARGV[4], ARGV[5], ARGV[6], ARGV[7], own.round, 0, ARGV[8])
    return { 'settled' }
end

-- begin: 2 op, 3 forward op or '', 4 milliseconds held, 5 milliseconds to keep it,
--        6 answer to an undo of nothing, 7.. the tokens in order of KEYS[2..]
local op, forward_op, hold_ms, keep_ms = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

local own = read(op)
if own and own.state ~= 'started' then
    return { 'told', own.state, own.status, own.type, own.body }
end
if own and own.until_ms > now then return { 'busy', string.format('%.0f', own.until_ms - now) } end

local forward, knows, has_nothing, closes = nil, '', false, false
if forward_op ~= '' then
    forward = read(forward_op)
    if own then
        knows = forward and forward.state == 'succeeded' and 'succeeded' or 'unknown'
    elseif not forward then
        has_nothing, closes = true, true
    elseif forward.state == 'refused' or forward.state == 'undone' then
        has_nothing = true
    elseif forward.state == 'succeeded' then
        knows = 'succeeded'
    elseif forward.until_ms > now then
        return { 'busy', string.format('%.0f', forward.until_ms - now) }
    else
        knows, closes = 'unknown', true
    end
end

for index = 2, #KEYS do
    local seen = tonumber(redis.call('GET', KEYS[index]) or '-1')
    if seen > tonumber(ARGV[index + 5]) then
        if not has_nothing then return { 'stale', string.format('%.0f', index - 2) } end
    end
end
for index = 2, #KEYS do
    local seen = tonumber(redis.call('GET', KEYS[index]) or '-1')
    if seen <= tonumber(ARGV[index + 5]) then
        redis.call('SET', KEYS[index], ARGV[index + 5], 'PX', keep_ms)
    end
end

if closes then
    write(forward_op, 'undone', '', '', '', forward and forward.round or 1, 0, keep_ms)
end
if has_nothing then
    write(op, 'succeeded', '200', 'application/json', ARGV[6], 1, 0, keep_ms)
    return { 'told', 'succeeded', '200', 'application/json', ARGV[6] }
end
local round = own and own.round + 1 or 1
write(op, 'started', '', '', '', round, now + hold_ms, keep_ms)
local answer = knows == 'succeeded' and forward or { status = '', type = '', body = '' }
return { 'run', string.format('%.0f', round), knows, answer.status, answer.type, answer.body }
