-- Sends prepared requests one after another and prints one line of JSON at the end.
-- The file of bodies is named by the first argument. The first header of the request with the body of line n is `X-Index: prefix<n-1>`;
-- the text is built here because wrk.format puts headers in no certain order.

local requests = {}
local sent = 0

function init(args)
  local file, prefix = args[1], args[2]
  local number = 0
  local headers = ""
  for name, value in pairs(wrk.headers) do
    headers = headers .. name .. ": " .. value .. "\r\n"
  end
  for body in io.lines(file) do
    requests[number] = "POST " .. wrk.path .. " HTTP/1.1\r\nX-Index: " .. prefix .. number .. "\r\n" .. headers
      .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
    number = number + 1
  end
  sent = 0
  total = number
end

function request()
  local one = requests[sent]
  sent = sent + 1
  if sent == total then sent = 0 end
  return one
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"failed":%d,"bad_status":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99), latency.max))
end
