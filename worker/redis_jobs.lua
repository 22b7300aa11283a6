-- The steps of RedisJobs. A call is one atomic step: ARGV[1] names it, ARGV[2] is who calls.
--
-- sian:job:<id>     hash    the record of a job; moments are microseconds since 1970
-- sian:outputs:<id> list    its outputs, each a JSON object; none, no key. Not in the record: a
--                           dataset has thousands, and Redis writes to its file all that a field
--                           is set to, and of a list only what is pushed
-- sian:queued       zset    queued jobs by their place, which they keep for life
-- sian:running      zset    running jobs by the end of their lease
-- sian:succeeded, sian:failed, sian:canceled    zsets    jobs by the moment they finished
-- sian:expired      zset    tombstones by the moment they expired
-- sian:told         zset    queued jobs by when the broker was last told of them, or else created
-- sian:failures     hash    error code -> number of failed jobs
-- sian:key:<key>    string  id of the job with this idempotency key, as long as it lives
-- sian:place        string  the last place given
-- sian:files        string  the mark of the files that the jobs belong to
-- sian:changes      channel "<who> <id>" of every change
--
-- All moments are of the clock of Redis, so that those of the other machines may differ.
-- Questions about many keys are steps too: with its memory full, Redis refuses every MULTI.

local step, who = ARGV[1], ARGV[2]
local steps = {}

local function key(id) return 'sian:job:' .. id end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Lua itself writes large numbers with 14 digits.
local function digits(number) return string.format('%.0f', number) end

local function outputs(id) return 'sian:outputs:' .. id end

-- Empty if there is none.
local function record(id)
  local found = redis.call('HGETALL', key(id))
  local made = redis.call('LRANGE', outputs(id), 0, -1)
  if #made > 0 then
    table.insert(found, 'made')
    table.insert(found, table.concat(made, ','))
  end
  return found
end

local function state(id) return redis.call('HGET', key(id), 'state') end

local function is_held(id, token)
  local found = redis.call('HMGET', key(id), 'state', 'token')
  return found[1] == 'running' and found[2] == token
end

local function publish(id) redis.call('PUBLISH', 'sian:changes', who .. ' ' .. id) end

local function changed(id)
  redis.call('HINCRBY', key(id), 'version', 1)
  publish(id)
end

local function move(id, from, to, score)
  redis.call('ZREM', 'sian:' .. from, id)
  redis.call('ZADD', 'sian:' .. to, digits(score), id)
  redis.call('HSET', key(id), 'state', to)
  redis.call('HDEL', key(id), 'token', 'progress')
  changed(id)
end

local function enqueue(id)
  local found = redis.call('HMGET', key(id), 'place', 'told_at', 'created_at')
  redis.call('ZADD', 'sian:told', found[2] or found[3], id)
  move(id, 'running', 'queued', tonumber(found[1]))
end

local function finish(id, from, to)
  local moment = now()
  redis.call('ZREM', 'sian:told', id)
  redis.call('HSET', key(id), 'finished_at', digits(moment))
  move(id, from, to, moment)
end

local function fail(id, code, message)
  redis.call('HSET', key(id), 'code', code, 'message', message)
  redis.call('HINCRBY', 'sian:failures', code, 1)
  finish(id, 'running', 'failed')
end

local function bury(id)
  redis.call('HSET', key(id), 'state', 'expired')
  redis.call('ZADD', 'sian:expired', digits(now()), id)
end

-- Back to the queue, unless this was the last attempt. Whether it is in the queue.
local function put_back(id, most, code, message)
  if tonumber(redis.call('HGET', key(id), 'attempts')) < tonumber(most) then
    enqueue(id)
    return true
  end
  fail(id, code, message)
  return false
end

-- A Redis that is full refuses the messages to workers, and what they acknowledge: new jobs are
-- refused before it is.
local function has_room()
  local memory = redis.call('INFO', 'memory')
  local most = tonumber(memory:match('maxmemory:(%d+)'))
  return most == 0 or tonumber(memory:match('used_memory:(%d+)')) < 0.9 * most
end

-- key_name, fingerprint: empty without an idempotency key. deadline: empty without one.
function steps.create(id, request, limit, deadline, key_name, fingerprint)
  if key_name ~= '' then
    local known = redis.call('GET', key_name)
    if known then return {'known', known, record(known)} end
  end
  if redis.call('EXISTS', key(id)) == 1 then return {'taken'} end
  if not has_room() then return redis.error_reply('OOM used memory is nearly maxmemory') end
  local moment = now()
  if redis.call('ZCARD', 'sian:queued') >= tonumber(limit) then
    return {'full', steps.finished_since(digits(moment - 60000000))}
  end
  local place = redis.call('INCR', 'sian:place')
  redis.call('HSET', key(id), 'state', 'queued', 'request', request, 'stored', 0,
    'version', 1, 'attempts', 0, 'place', digits(place), 'created_at', digits(moment))
  if deadline ~= '' then redis.call('HSET', key(id), 'deadline_at', deadline) end
  if key_name ~= '' then
    redis.call('HSET', key(id), 'key_name', key_name, 'fingerprint', fingerprint)
    redis.call('SET', key_name, id)
  end
  redis.call('ZADD', 'sian:queued', digits(place), id)
  redis.call('ZADD', 'sian:told', digits(moment), id)
  return {'created', id, record(id)}
end

function steps.get(id) return record(id) end

function steps.state(id) return state(id) end

function steps.find(key_name)
  local known = redis.call('GET', key_name)
  return known and {known, record(known)}
end

-- What is not there yet may still be on its way, from a create that nobody waits for any more. It
-- finds a tombstone then.
function steps.discard(id)
  if not state(id) then bury(id) end
  if state(id) ~= 'queued' then return 0 end
  local key_name = redis.call('HGET', key(id), 'key_name')
  if key_name then redis.call('DEL', key_name) end
  redis.call('ZREM', 'sian:queued', id)
  redis.call('ZREM', 'sian:told', id)
  redis.call('DEL', key(id), outputs(id))
  publish(id)
  return 1
end

function steps.start(id, token, lease)
  if state(id) ~= 'queued' then return false end
  local moment = now()
  redis.call('ZREM', 'sian:told', id)
  redis.call('HINCRBY', key(id), 'attempts', 1)
  redis.call('HSETNX', key(id), 'started_at', digits(moment))
  move(id, 'queued', 'running', moment + tonumber(lease))
  redis.call('HSET', key(id), 'token', token)
  return record(id)
end

-- lease, then id and token of each claim.
function steps.renew(lease, ...)
  local claims, held = {...}, {}
  local score = digits(now() + tonumber(lease))
  for i = 1, #claims, 2 do
    if is_held(claims[i], claims[i + 1]) then
      redis.call('ZADD', 'sian:running', score, claims[i])
      table.insert(held, claims[i])
    end
  end
  return held
end

-- index: how many are stored before it. Told twice, as over a slow network, stored once: 2 then.
-- forgiving: '1' if earlier attempts count no more.
function steps.add_output(id, token, output, index, forgiving)
  if not is_held(id, token) then return 0 end
  if tonumber(redis.call('HGET', key(id), 'stored')) > tonumber(index) then return 2 end
  redis.call('HINCRBY', key(id), 'stored', 1)
  redis.call('RPUSH', outputs(id), output)
  if forgiving == '1' then redis.call('HSET', key(id), 'attempts', 1) end
  changed(id)
  return 1
end

function steps.report(id, token, progress)
  if not is_held(id, token) then return 0 end
  redis.call('HSET', key(id), 'progress', progress)
  changed(id)
  return 1
end

function steps.finish(id, token)
  if not is_held(id, token) then return 0 end
  finish(id, 'running', 'succeeded')
  return 1
end

function steps.fail(id, token, code, message)
  if not is_held(id, token) then return 0 end
  fail(id, code, message)
  return 1
end

function steps.requeue(id, token)
  if not is_held(id, token) then return 0 end
  redis.call('HINCRBY', key(id), 'attempts', -1)
  enqueue(id)
  return 1
end

function steps.retry(id, token, most, code, message)
  if not is_held(id, token) then return 0 end
  put_back(id, most, code, message)
  return 1
end

-- Whether it changed anything, and what there is now.
function steps.cancel(id)
  local from = state(id)
  local is_open = from == 'queued' or from == 'running'
  if is_open then finish(id, from, 'canceled') end
  return {is_open and 1 or 0, record(id)}
end

-- The ids of those that are in the queue again, in order, and of those that failed.
function steps.reap(everything, most, code, message)
  local last = everything == '1' and '+inf' or digits(now())
  local lost, places = redis.call('ZRANGE', 'sian:running', '-inf', last, 'BYSCORE'), {}
  for _, id in ipairs(lost) do places[id] = tonumber(redis.call('HGET', key(id), 'place')) end
  table.sort(lost, function(a, b) return places[a] < places[b] end)
  local queued, failed = {}, {}
  for _, id in ipairs(lost) do
    table.insert(put_back(id, most, code, message) and queued or failed, id)
  end
  return {queued, failed}
end

function steps.published(id)
  if state(id) ~= 'queued' then return 0 end
  local moment = digits(now())
  redis.call('HSET', key(id), 'told_at', moment)
  redis.call('ZADD', 'sian:told', moment, id)
  return 1
end

-- Looks through the queue only if there is something to find, and no further than it must.
function steps.unpublished(before, count)
  local found, chunk = {}, 100
  local wanted = math.min(
    tonumber(count), redis.call('ZCOUNT', 'sian:told', '-inf', '(' .. before))
  local first = 0
  while #found < wanted do
    local ids = redis.call('ZRANGE', 'sian:queued', first, first + chunk - 1)
    for i, told in ipairs(redis.call('ZMSCORE', 'sian:told', unpack(ids))) do
      if #found < wanted and tonumber(told) < tonumber(before) then
        table.insert(found, ids[i])
      end
    end
    first = first + chunk
  end
  return found
end

local finished = {'succeeded', 'failed', 'canceled'}

function steps.finished_since(moment)
  local count = 0
  for _, name in ipairs(finished) do
    count = count + redis.call('ZCOUNT', 'sian:' .. name, '(' .. moment, '+inf')
  end
  return count
end

-- Ids of the jobs in some states: of all, or of those below a score.
local function ids_in(names, below)
  local found = {}
  for _, name in ipairs(names) do
    local last = below and '(' .. below or '+inf'
    for _, id in ipairs(redis.call('ZRANGE', 'sian:' .. name, '-inf', last, 'BYSCORE')) do
      table.insert(found, id)
    end
  end
  return found
end

function steps.finished_before(moment) return ids_in(finished, moment) end

function steps.ids(...) return ids_in({...}) end

function steps.counts(...)
  local counts = {}
  for i, name in ipairs({...}) do counts[i] = redis.call('ZCARD', 'sian:' .. name) end
  return counts
end

-- All jobs that may have changed in the last microseconds.
function steps.changed_within(age)
  local first, found = digits(now() - tonumber(age)), ids_in({'queued', 'running'})
  for _, name in ipairs({'succeeded', 'failed', 'canceled', 'expired'}) do
    for _, id in ipairs(redis.call('ZRANGE', 'sian:' .. name, first, '+inf', 'BYSCORE')) do
      table.insert(found, id)
    end
  end
  return found
end

function steps.expire(id)
  local from = state(id)
  if from ~= 'succeeded' and from ~= 'failed' and from ~= 'canceled' then return 0 end
  local found = redis.call('HMGET', key(id), 'key_name', 'code')
  if found[1] then redis.call('DEL', found[1]) end
  if found[2] and redis.call('HINCRBY', 'sian:failures', found[2], -1) == 0 then
    redis.call('HDEL', 'sian:failures', found[2])
  end
  redis.call('ZREM', 'sian:' .. from, id)
  redis.call('DEL', key(id), outputs(id))
  bury(id)
  publish(id)
  return 1
end

-- A step, since a Redis without room refuses SET on its own.
function steps.mark_files(mark)
  redis.call('SET', 'sian:files', mark, 'NX')
  return redis.call('GET', 'sian:files')
end

-- At most a thousand tombstones, so that others need not wait; how many.
function steps.forget(before)
  local ids = redis.call(
    'ZRANGE', 'sian:expired', '-inf', '(' .. before, 'BYSCORE', 'LIMIT', 0, 1000)
  for _, id in ipairs(ids) do
    redis.call('DEL', key(id))
    redis.call('ZREM', 'sian:expired', id)
  end
  return #ids
end

return steps[step](unpack(ARGV, 3))
