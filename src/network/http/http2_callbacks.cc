// How frames reach the connection and leave it: what nghttp2 calls.

#include <algorithm>

#include "network/http/http2_core.h"

namespace tepal::http {

namespace {

constexpr uint64_t kUnlimited = UINT32_MAX;

std::string_view View(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

// Never let anything but nghttp2's own error codes out.
struct Http2Core::Callbacks {
  static Http2Core& Core(void* user) { return *static_cast<Http2Core*>(user); }

  static ssize_t Send(nghttp2_session*, const uint8_t* data, size_t size, int, void* user) {
    Http2Core& core = Core(user);
    if (core.out_.size() >= kFramesAheadBytes) return NGHTTP2_ERR_WOULDBLOCK;
    core.out_.Append(View(data, size));
    core.appended_ += size;
    return static_cast<ssize_t>(size);
  }

  static ssize_t ReadData(nghttp2_session*, int32_t, uint8_t*, size_t size, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    const size_t bytes = stream.NextData(size);
    const bool ends = stream.SendingEnds(bytes);
    if (bytes == 0 && !ends) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (ends) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (stream.has_trailers()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        stream.SubmitTrailers();
      }
    }
    return static_cast<ssize_t>(bytes);
  }

  static ssize_t ReadLength(nghttp2_session*, uint8_t, int32_t, int32_t connection_window,
                            int32_t stream_window, uint32_t frame_max, void*) {
    const int32_t window = std::min(connection_window, stream_window);
    return std::min<int64_t>({window, frame_max, kFrameBytesMax});
  }

  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t size,
                      nghttp2_data_source* source, void* user) {
    Http2Core& core = Core(user);
    if (core.out_.size() >= kFramesAheadBytes) return NGHTTP2_ERR_WOULDBLOCK;
    constexpr size_t kFrameHeadBytes = 9;
    core.out_.Append(View(head, kFrameHeadBytes));
    core.appended_ += kFrameHeadBytes + size;
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    if (stream.MoveData(size, core.out_)) core.with_send_room_.push_back(frame->hd.stream_id);
    return 0;
  }

  static int BeforeSend(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Core& core = Core(user);
    if (frame->hd.type != NGHTTP2_HEADERS || core.server_) return 0;
    Http2Stream* stream = core.Find(frame->hd.stream_id);
    if (stream != nullptr) stream->set_wire_offset(core.appended_);
    return 0;
  }

  static int Sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY) Core(user).OnGoawaySent();
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Core(user).ping_guard_.OnSent();
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    Http2Stream* stream = Core(user).Find(frame->hd.stream_id);
    if (stream != nullptr) stream->OnOutputDone();
    return 0;
  }

  // A request that the session may not send any more, after a GOAWAY.
  static int NotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    Http2Stream* stream = Core(user).Find(frame->hd.stream_id);
    if (stream != nullptr) stream->OnClosed(NGHTTP2_REFUSED_STREAM);
    return 0;
  }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Core& core = Core(user);
    if (!core.server_ || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    core.Add(frame->hd.stream_id, core.side_.NewStream());
    core.CheckAt(core.read_at_ + core.limits_.header_time_max);
    return 0;
  }

  static int Header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                    void* user) {
    Http2Stream* stream = Core(user).Find(frame->hd.stream_id);
    if (stream != nullptr) stream->OnField(View(name, name_size), View(value, value_size));
    return 0;
  }

  static int Frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Core& core = Core(user);
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (Http2Stream* stream = core.Find(frame->hd.stream_id)) stream->OnHeadersEnd(ends);
        break;
      case NGHTTP2_DATA:
        if (frame->hd.length == 0 && !ends) core.OnControlFrame();
        if (Http2Stream* stream = core.Find(frame->hd.stream_id); stream != nullptr && ends) {
          stream->OnInputEnd();
        }
        break;
      case NGHTTP2_SETTINGS:
        core.settings_received_ = true;
        core.OnControlFrame();
        break;
      case NGHTTP2_PRIORITY:
        core.OnControlFrame();
        break;
      case NGHTTP2_RST_STREAM:
        core.OnReset();
        break;
      case NGHTTP2_GOAWAY:
        core.goaway_received_ = true;
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
          core.OnPing();
        } else if (core.goaway_at_ && frame->ping.opaque_data[0] == kDrainPing[0]) {
          core.LastGoawayDue();
        }
        break;
      default:
        break;
    }
    return 0;
  }

  // A frame that resets its stream.
  static int Invalid(nghttp2_session*, const nghttp2_frame*, int, void* user) {
    Core(user).OnReset();
    return 0;
  }

  static int Data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                  void* user) {
    Http2Core& core = Core(user);
    Http2Stream* stream = core.Find(id);
    if (stream == nullptr) {
      core.Consume(id, size);
    } else {
      stream->OnData({reinterpret_cast<const std::byte*>(data), size});
    }
    return 0;
  }

  static int Closed(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    Http2Stream* stream = Core(user).Find(id);
    if (stream != nullptr) stream->OnClosed(error_code);
    return 0;
  }
};

nghttp2_session* Http2Core::NewSession() {
  nghttp2_session_callbacks* calls = nullptr;
  nghttp2_option* options = nullptr;
  nghttp2_session* session = nullptr;
  // These fail only for lack of memory.
  TEPAL_CHECK(nghttp2_session_callbacks_new(&calls) == 0 && nghttp2_option_new(&options) == 0);
  nghttp2_session_callbacks_set_send_callback(calls, Callbacks::Send);
  nghttp2_session_callbacks_set_send_data_callback(calls, Callbacks::SendData);
  nghttp2_session_callbacks_set_data_source_read_length_callback(calls, Callbacks::ReadLength);
  nghttp2_session_callbacks_set_before_frame_send_callback(calls, Callbacks::BeforeSend);
  nghttp2_session_callbacks_set_on_frame_send_callback(calls, Callbacks::Sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(calls, Callbacks::NotSent);
  nghttp2_session_callbacks_set_on_begin_headers_callback(calls, Callbacks::BeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(calls, Callbacks::Header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(calls, Callbacks::Frame);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(calls, Callbacks::Invalid);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, Callbacks::Data);
  nghttp2_session_callbacks_set_on_stream_close_callback(calls, Callbacks::Closed);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_stream_reset_rate_limit(options, kUnlimited, kUnlimited);
  const int error = server_ ? nghttp2_session_server_new2(&session, calls, this, options)
                            : nghttp2_session_client_new2(&session, calls, this, options);
  TEPAL_CHECK(error == 0);
  nghttp2_option_del(options);
  nghttp2_session_callbacks_del(calls);
  return session;
}

nghttp2_data_provider Http2Core::DataOf(Http2Stream& stream) {
  nghttp2_data_provider provider;
  provider.source.ptr = &stream;
  provider.read_callback = Callbacks::ReadData;
  return provider;
}

}  // namespace tepal::http
