#include "network/http/http2_stream.h"

#include <algorithm>
#include <cstring>

#include "network/http/http2_core.h"

namespace tepal::http {

Http2Stream::~Http2Stream() {
  if (held_bytes_ > 0) core_.limits().body_budget->Give(held_bytes_);
}

void Http2Stream::OnField(std::string_view name, std::string_view value) {
  if (!head_done_ && name.starts_with(':')) return OnPseudoField(name, value);
  fields_bytes_ += name.size() + value.size();
  if (fields_.size() >= core_.limits().header_count_max ||
      fields_bytes_ > core_.limits().header_bytes_max) {
    fields_too_large_ = true;
    return;
  }
  fields_.Add(name, value);
}

void Http2Stream::OnHeadersEnd(bool end_of_stream) {
  input_at_ = core_.read_at();
  if (!head_done_) OnHead(end_of_stream);
  if (end_of_stream) OnInputEnd();
}

void Http2Stream::OnData(std::span<const std::byte> data) {
  received_ += data.size();
  input_at_ = core_.read_at();
  if (!input_done_ && received_ > body_bytes_max()) OnBodyTooLarge();
  const size_t placed = waiting_.empty() ? Place(data) : 0;
  if (placed == data.size()) return;
  Hold(data.subspan(placed));
}

Buffer Http2Stream::OpenMemory() {
  if (closed_ || input_done_ || paused_ || !waiting_.empty()) return {};
  BodySink* const to = sink();
  return to == nullptr ? Buffer() : to->OpenMemory();
}

// What is here already counts against the budget, and may exceed it.
void Http2Stream::Hold(std::span<const std::byte> data) {
  if (Budget* const budget = core_.limits().body_budget) {
    budget->Take(data.size());
    held_bytes_ += data.size();
  }
  waiting_.push_back(Buffer::Copy({reinterpret_cast<const char*>(data.data()), data.size()}));
  core_.CountHeld(static_cast<ptrdiff_t>(data.size()));
}

void Http2Stream::Unhold(size_t bytes) {
  core_.CountHeld(-static_cast<ptrdiff_t>(bytes));
  const size_t counted = TakeOverHeld(bytes);
  if (counted > 0) core_.limits().body_budget->Give(counted);
}

size_t Http2Stream::TakeOverHeld(size_t bytes_max) {
  const size_t bytes = std::min(bytes_max, held_bytes_);
  held_bytes_ -= bytes;
  return bytes;
}

size_t Http2Stream::bytes_waiting() const {
  size_t bytes = 0;
  for (const Buffer& buffer : waiting_) bytes += buffer.size();
  return bytes;
}

// How many bytes the sink took; all of them once nobody wants any.
size_t Http2Stream::Place(std::span<const std::byte> data) {
  size_t placed = 0;
  while (placed < data.size()) {
    BodySink* const to = input_done_ ? nullptr : sink();
    if (to == nullptr) {
      core_.Consume(id_, data.size() - placed);
      return data.size();
    }
    if (paused_) break;
    uint64_t expected = data.size() - placed;
    if (content_length_) expected = std::max(expected, *content_length_ - delivered_);
    const std::span<std::byte> room = to->BodyRoom(static_cast<size_t>(expected));
    if (input_done_ || sink() != to) continue;
    paused_ = room.empty();
    const size_t bytes = std::min(room.size(), data.size() - placed);
    if (bytes == 0) break;
    // Unless they were received there.
    if (room.data() != data.data() + placed) std::memcpy(room.data(), data.data() + placed, bytes);
    placed += bytes;
    delivered_ += bytes;
    core_.Consume(id_, bytes);
    core_.set_bytes_to_come(ToCome(room.size() - bytes));
    to->OnBody(bytes);
  }
  return placed;
}

size_t Http2Stream::ToCome(size_t room) const {
  if (takes_exact_room()) return room;
  const uint64_t whole = content_length_.value_or(0);
  return whole > delivered_ ? static_cast<size_t>(whole - delivered_) : 0;
}

void Http2Stream::Deliver() {
  resumed_ = false;
  while (!waiting_.empty() && !paused_ && !input_done_) {
    Buffer data = std::move(waiting_.front());
    waiting_.pop_front();
    const size_t placed = Place(data.bytes());
    data.RemovePrefix(placed);
    Unhold(placed);
    if (!data.empty()) waiting_.push_front(std::move(data));
  }
  if (input_done_) return DropInput();
  if (!waiting_.empty() || !input_ended_) return;
  input_done_ = true;
  OnBodyEnd(fields_);
  MaybeForget();
}

void Http2Stream::OnInputEnd() {
  core_.set_bytes_to_come(0);
  input_ended_ = true;
  Deliver();
}

void Http2Stream::DropInput() {
  input_done_ = true;
  for (const Buffer& buffer : waiting_) {
    core_.Consume(id_, buffer.size());
    Unhold(buffer.size());
  }
  waiting_.clear();
}

void Http2Stream::OnClosed(uint32_t error_code) {
  closed_ = true;
  output_.clear();
  output_bytes_ = 0;
  const bool complete = input_ended_ && (error_code == 0 || !server_);
  if (!complete) {
    OnBroken(error_code);
    DropInput();
  }
  MaybeForget();
}

void Http2Stream::MaybeForget() {
  if (closed_ && input_done_) core_.Forget(id_);
}

void Http2Stream::ResumeInput() {
  if (!paused_) return;
  paused_ = false;
  resumed_ = true;
  input_at_ = core_.now();
  core_.Resumed();
  core_.OnActive();
}

size_t Http2Stream::NextData(size_t bytes_max) const { return std::min(bytes_max, output_bytes_); }

bool Http2Stream::MoveData(size_t bytes, OutQueue& out) {
  output_bytes_ -= bytes;
  while (bytes > 0) {
    Buffer& first = output_.front();
    if (first.size() <= bytes) {
      bytes -= first.size();
      out.Append(std::move(first));
      output_.pop_front();
    } else {
      out.Append(first.Slice(0, bytes));
      first.RemovePrefix(bytes);
      bytes = 0;
    }
  }
  if (!congested_ || output_bytes_ >= core_.limits().send_high_water_bytes) return false;
  congested_ = false;
  return true;
}

void Http2Stream::WriteBody(BufferList body) {
  if (closed_) return;
  for (Buffer& buffer : body) {
    if (buffer.empty()) continue;
    output_bytes_ += buffer.size();
    output_.push_back(std::move(buffer));
  }
  congested_ = congested_ || output_bytes_ >= core_.limits().send_high_water_bytes;
  nghttp2_session_resume_data(core_.session(), id_);
  core_.OnActive();
}

void Http2Stream::FinishBody(const Headers* trailers) {
  output_ended_ = true;
  if (closed_) return;
  if (trailers != nullptr && !trailers->empty()) trailers_to_send_ = *trailers;
  nghttp2_session_resume_data(core_.session(), id_);
  core_.OnActive();
}

void Http2Stream::SubmitTrailers() {
  Http2Fields fields;
  fields.AddAll(*trailers_to_send_);
  nghttp2_submit_trailer(core_.session(), id_, fields.data(), fields.size());
}

void Http2Stream::OnOutputDone() {
  output_done_ = true;
  if (ends_when_sent_ && !input_ended_) ResetStream(NGHTTP2_NO_ERROR);
}

void Http2Stream::ResetStream(uint32_t error_code) {
  if (closed_) return;
  nghttp2_submit_rst_stream(core_.session(), NGHTTP2_FLAG_NONE, id_, error_code);
  core_.OnActive();
}

}  // namespace tepal::http
