#include "network/http/http2_core.h"

#include <algorithm>
#include <utility>

#include "core/base/text.h"

namespace tepal::http {

namespace {

// Streams that wait for memory do not stop the others of their connection, until so much is held.
constexpr size_t kHeldWhileStarvedBytesMax = 256 * 1024;

}  // namespace

// The session is at work; see Http1ServerSession::Turn.
struct Http2Core::Turn {
  explicit Turn(Http2Core& c) : core(c), outermost(!c.in_turn_) { core.in_turn_ = true; }
  ~Turn() {
    if (!outermost) return;
    core.room_ = {};
    core.direct_.Release();
    const auto gone = std::move(core.forgotten_);
    const auto receivers = std::move(core.retired_);
    core.forgotten_.clear();
    core.retired_.clear();
    core.in_turn_ = false;
  }
  Http2Core& core;
  const bool outermost;
};

Http2Core::Http2Core(bool server, const Limits& limits, SessionHost& host, Side& side)
    : server_(server),
      limits_(limits),
      host_(host),
      side_(side),
      direct_(server),
      idle_since_(host.Now()),
      read_at_(idle_since_),
      resets_(limits_.resets_burst_max, limits_.resets_per_second_max, idle_since_),
      control_frames_(limits_.control_frames_burst_max, limits_.control_frames_per_second_max,
                      idle_since_) {
  if (server_ && limits_.connection_age_max > Duration(0)) old_at_ = WhenOld();
  session_ = NewSession();
  SubmitPreface();
}

Http2Core::~Http2Core() {
  OnDisconnect(Cancelled("the connection was closed"));
  nghttp2_session_del(session_);
}

void Http2Core::SubmitPreface() {
  const auto bytes = [](uint64_t value) {
    return static_cast<uint32_t>(std::min<uint64_t>(value, INT32_MAX));
  };
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, bytes(limits_.window_bytes)},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameBytesMax},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, bytes(limits_.header_bytes_max)},
      server_ ? nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.streams_max}
              : nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(
      session_, NGHTTP2_FLAG_NONE, 0, static_cast<int32_t>(bytes(limits_.connection_window_bytes)));
}

void Http2Core::OnActive() {
  if (in_turn_ || asked_for_turn_) return;
  asked_for_turn_ = true;
  host_.OnSessionActive();
}

Instant Http2Core::now() const { return host_.Now(); }

Http2Stream* Http2Core::Find(int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Http2Core::Add(int32_t id, std::unique_ptr<Http2Stream> stream) {
  stream->id_ = id;
  stream->input_at_ = read_at_;
  streams_[id] = std::move(stream);
}

void Http2Core::Forget(int32_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  bytes_to_come_ = 0;
  forgotten_.push_back(std::move(found->second));
  streams_.erase(found);
  if (streams_.empty()) idle_since_ = host_.Now();
  OnActive();
}

void Http2Core::Consume(int32_t id, size_t bytes) {
  if (!broken_) nghttp2_session_consume(session_, id, bytes);
}

std::span<std::byte> Http2Core::ReadRoom(std::span<std::byte> scratch) {
  if (broken_ || (starved_streams_ > 0 && held_bytes_ >= kHeldWhileStarvedBytesMax)) return {};
  Buffer memory;
  if (const int32_t id = direct_.stream(); id != 0) {
    if (Http2Stream* stream = Find(id)) memory = stream->OpenMemory();
  }
  room_ = direct_.Plan(std::move(memory), scratch);
  return room_.front();
}

bool Http2Core::OnRead(size_t bytes, Instant now) {
  const Turn turn(*this);
  if (broken_) return false;
  read_at_ = now;
  direct_.Filled(bytes);
  for (auto run = direct_.Next(); !run.empty() && !broken_; run = direct_.Next()) {
    const ssize_t taken = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(run.data()), run.size());
    if (!condemned_.empty()) return EndCondemned();
    if (taken < 0) return Fail(static_cast<int>(taken));
  }
  return !broken_;
}

void Http2Core::Condemn(std::string_view debug) {
  if (condemned_.empty()) condemned_ = debug;
}

bool Http2Core::EndCondemned() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_ENHANCE_YOUR_CALM,
                        reinterpret_cast<const uint8_t*>(condemned_.data()), condemned_.size());
  SendFrames();
  OnDisconnect(Unavailable(Concat("HTTP/2: the peer asks too much: ", condemned_)));
  return false;
}

void Http2Core::OnControlFrame() {
  if (!control_frames_.Take(read_at_)) Condemn("too_many_control_frames");
}

void Http2Core::OnReset() {
  if (!resets_.Take(read_at_)) Condemn("too_many_resets");
}

void Http2Core::OnPing() {
  if (!ping_guard_.ReactsToUs()) OnControlFrame();
  if (!ping_guard_.OnPing(limits_, read_at_, !streams_.empty()) && server_) {
    Condemn("too_many_pings");
  }
}

// The age, and up to a tenth of it more or less: connections that were made together shall not all
// come back together.
Instant Http2Core::WhenOld() const {
  uint64_t mixed = host_.Ordinal() + static_cast<uint64_t>(idle_since_.time_since_epoch().count());
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  const double share = static_cast<double>(mixed >> 11) / static_cast<double>(1ull << 53);
  return idle_since_ + FromSeconds(ToSeconds(limits_.connection_age_max) * (0.9 + 0.2 * share));
}

// The peer may still be told why, but nothing of it is heard any more.
bool Http2Core::Fail(int nghttp2_error) {
  const uint32_t code =
      nghttp2_error == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR;
  nghttp2_session_terminate_session(session_, code);
  SendFrames();
  OnDisconnect(Unavailable(Concat("HTTP/2: ", nghttp2_strerror(nghttp2_error))));
  return false;
}

bool Http2Core::OnReadEnd(Instant) {
  OnDisconnect(Unavailable("the peer closed the connection"));
  return false;
}

void Http2Core::SendFrames() {
  if (broken_) return;
  SubmitLastGoaway();
  const int error = nghttp2_session_send(session_);
  if (error != 0) OnDisconnect(Unavailable(Concat("HTTP/2: ", nghttp2_strerror(error))));
  for (const int32_t id : std::exchange(with_send_room_, {})) {
    if (Http2Stream* stream = Find(id)) stream->OnSendRoom();
  }
}

void Http2Core::DeliverResumed() {
  if (!any_resumed_) return;
  any_resumed_ = false;
  std::vector<int32_t> ids;
  for (const auto& [id, stream] : streams_) {
    if (stream->resumed()) ids.push_back(id);
  }
  for (const int32_t id : ids) {
    if (Http2Stream* stream = Find(id)) stream->Deliver();
  }
}

void Http2Core::Output(std::vector<env::ConstBytes>& pieces) {
  const Turn turn(*this);
  asked_for_turn_ = false;
  DeliverResumed();
  SendFrames();
  size_t bytes = 0;
  out_.Gather(pieces, bytes);
  if (bytes == 0) {
    write_since_.reset();
  } else if (!write_since_) {
    write_since_ = host_.Now();
  }
}

void Http2Core::OnWritten(size_t bytes, Instant now) {
  out_.Consume(bytes);
  written_ += bytes;
  if (bytes > 0) write_since_ = now;
}

bool Http2Core::Finished() const {
  if (broken_ || (goaway_sent_ && streams_.empty())) return true;
  if (!server_ && !accepts_streams() && streams_.empty()) return true;
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

bool Http2Core::Idle() const {
  return streams_.empty() && out_.empty() && nghttp2_session_want_write(session_) == 0;
}

void Http2Core::CheckAt(Instant when) { check_at_ = check_at_ ? std::min(*check_at_, when) : when; }

std::optional<Instant> Http2Core::NextDeadline() const {
  std::optional<Instant> next;
  const auto add = [&next](Instant when) { next = next ? std::min(*next, when) : when; };
  if (Finished()) return next;
  if (write_since_) add(*write_since_ + limits_.write_idle_max);
  if (goaway_at_) add(*goaway_at_);
  if (check_at_) add(*check_at_);
  if (grace_ends_) add(*grace_ends_);
  if (old_at_ && !draining_) add(*old_at_);
  if (streams_.empty() && !draining_) add(idle_since_ + limits_.idle_max);
  if (const auto due = keepalive_.NextDeadline(limits_, read_at_, !streams_.empty())) add(*due);
  return next;
}

bool Http2Core::OnTime(Instant now) {
  const Turn turn(*this);
  if (write_since_ && now >= *write_since_ + limits_.write_idle_max) {
    OnDisconnect(DeadlineExceeded("the peer takes no bytes"));
    return false;
  }
  if (goaway_at_ && now >= *goaway_at_) LastGoawayDue();
  if (check_at_ && now >= *check_at_) CheckStreams(now);
  if (grace_ends_ && now >= *grace_ends_) {
    OnDisconnect(Unavailable("the connection has reached its age"));
    return false;
  }
  if (!KeepAlive(now)) return false;
  if (old_at_ && now >= *old_at_ && !draining_) {
    BeginDrain(now);
    if (limits_.connection_age_grace > Duration(0)) {
      grace_ends_ = now + limits_.connection_age_grace;
    }
  }
  if (streams_.empty() && now >= idle_since_ + limits_.idle_max) BeginDrain(now);
  return !broken_;
}

bool Http2Core::KeepAlive(Instant now) {
  switch (keepalive_.OnTime(limits_, now, read_at_, !streams_.empty())) {
    case Http2Keepalive::Due::kNothing:
      return true;
    case Http2Keepalive::Due::kPing:
      nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kAlivePing);
      return true;
    case Http2Keepalive::Due::kDead:
      OnDisconnect(Unavailable("the peer has not answered a keepalive ping"));
      return false;
  }
  return true;
}

void Http2Core::CheckStreams(Instant now) {
  check_at_.reset();
  std::vector<int32_t> late;
  for (const auto& [id, stream] : streams_) {
    const std::optional<Instant> due = stream->InputDeadline();
    if (due && now >= *due) {
      late.push_back(id);
    } else if (due) {
      CheckAt(*due);
    }
  }
  for (const int32_t id : late) {
    if (Http2Stream* stream = Find(id)) stream->OnInputTimeout();
  }
}

void Http2Core::Drain(Instant now) {
  const Turn turn(*this);
  BeginDrain(now);
  if (std::exchange(streams_end_, server_)) return;
  if (goaway_sent_) EndStreams();
}

// Age alone ends no stream: gRPC lets them go on until the grace is over.
void Http2Core::EndStreams() {
  std::vector<int32_t> ids;
  for (const auto& entry : streams_) ids.push_back(entry.first);
  for (const int32_t id : ids) {
    if (Http2Stream* stream = Find(id)) stream->OnDrain();
  }
}

// RFC 9113 section 6.8: a first GOAWAY that refuses nothing, and the last one a round trip later,
// when every request sent before the peer knew has arrived. A client only stops asking.
void Http2Core::BeginDrain(Instant now) {
  if (draining_ || broken_) return;
  draining_ = true;
  if (!server_) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
    return;
  }
  nghttp2_submit_shutdown_notice(session_);
  goaway_at_ = now + limits_.drain_first_request_max;
}

// Not before: nghttp2 sends pings ahead of everything else, and a peer that answers one before it
// has read the GOAWAY may still send requests behind its answer.
void Http2Core::OnGoawaySent() {
  if (goaway_at_ && !last_goaway_due_) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrainPing);
  }
}

// When it goes out at once: a request that comes between its making and its sending would be taken
// up and refused.
void Http2Core::SubmitLastGoaway() {
  if (!last_goaway_due_ || out_.size() >= kFramesAheadBytes) return;
  last_goaway_due_ = false;
  goaway_sent_ = true;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  if (streams_end_) EndStreams();
}

void Http2Core::OnDisconnect(const Status& why) {
  const Turn turn(*this);
  broken_ = true;
  std::vector<int32_t> ids;
  for (const auto& entry : streams_) ids.push_back(entry.first);
  for (const int32_t id : ids) {
    Http2Stream* stream = Find(id);
    if (stream == nullptr) continue;
    stream->closed_ = true;
    stream->OnDisconnect(why);
    Forget(id);
  }
}

}  // namespace tepal::http
