#include "network/net/tls_stream.h"

#include <cerrno>

#include "core/base/check.h"
#include "core/base/text.h"
#include "network/net/tls_engine.h"

namespace tepal::net {
namespace {

class TlsStream final : public env::Stream, private env::StreamEvents {
 public:
  TlsStream(env::EventLoop& loop, std::shared_ptr<const TlsContext> context,
            std::unique_ptr<env::Stream> lower)
      : loop_(loop), engine_(std::move(context), std::move(lower)) {
    engine_.SetTime(loop_.WallNow());
    engine_.lower().Attach(loop_, *this);
  }
  ~TlsStream() override {
    if (timer_ != 0) loop_.Cancel(timer_);
    if (!abort_) engine_.SayGoodbye();
  }

  TlsEngine& engine() { return engine_; }

  // `done` may destroy the stream. The first step is made in a later turn.
  void BeginHandshake(bool speaks_first, Function<void(Status)> done) {
    handshake_done_ = std::move(done);
    WatchLower(true, speaks_first);
  }

  // env::Stream:
  void Attach(env::EventLoop& loop, env::StreamEvents& events) override {
    TEPAL_CHECK(&loop == &loop_ && events_ == nullptr);
    events_ = &events;
  }
  void Watch(bool readable, bool writable) override {
    watch_readable_ = readable;
    watch_writable_ = writable;
    Update();
  }
  env::IoResult Read(std::span<std::byte> into) override {
    const env::IoResult result = engine_.Read(into);
    Update();
    return result;
  }
  env::IoResult Write(std::span<const env::ConstBytes> pieces) override {
    const env::IoResult result = engine_.Write(pieces);
    Update();
    return result;
  }
  void ShutdownWrite() override {
    engine_.CloseWriting();
    Update();
  }
  void AbortOnClose() override {
    abort_ = true;
    engine_.lower().AbortOnClose();
  }
  env::Address local_address() const override { return engine_.lower().local_address(); }
  env::Address peer_address() const override { return engine_.lower().peer_address(); }

 private:
  // The last thing each of the three does is a call that may destroy this.
  void OnReadable() override {
    if (handshake_done_) return StepHandshake();
    if (watch_readable_) events_->OnReadable();
  }
  void OnWritable() override {
    if (handshake_done_) return StepHandshake();
    engine_.Flush();
    Update();
    if (watch_writable_ && (!engine_.queued() || engine_.WriteReady())) events_->OnWritable();
  }
  // Something to report that the stream below knows nothing of: decrypted bytes, an end, an error.
  void OnTimer() {
    timer_ = 0;
    const bool readable = watch_readable_ && engine_.ReadReady();
    const bool writable = watch_writable_ && engine_.WriteReady();
    Update();  // Sets the timer again, for an owner that does not react.
    if (readable) return events_->OnReadable();
    if (writable) events_->OnWritable();
  }

  void StepHandshake() {
    const TlsEngine::Step step = engine_.Handshake();
    if (step == TlsEngine::Step::kWait) return WatchLower(true, engine_.queued());
    Function<void(Status)> done = std::move(handshake_done_);
    Update();
    done(step == TlsEngine::Step::kDone ? Status() : engine_.HandshakeError());
  }

  void Update() {
    WatchLower(watch_readable_ && !engine_.read_failed() && !engine_.read_waits(),
               (watch_writable_ || engine_.queued()) && !engine_.write_failed());
    const bool report =
        (watch_readable_ && engine_.ReadReady()) || (watch_writable_ && engine_.WriteReady());
    if (report && timer_ == 0) {
      timer_ = loop_.RunAt(loop_.Now(), [this] { OnTimer(); });
    } else if (!report && timer_ != 0) {
      loop_.Cancel(std::exchange(timer_, 0));
    }
  }

  void WatchLower(bool readable, bool writable) {
    if (readable == lower_readable_ && writable == lower_writable_) return;
    lower_readable_ = readable;
    lower_writable_ = writable;
    engine_.lower().Watch(readable, writable);
  }

  env::EventLoop& loop_;
  TlsEngine engine_;
  env::StreamEvents* events_ = nullptr;
  Function<void(Status)> handshake_done_;  // Set: the handshake is in progress.
  bool watch_readable_ = false;
  bool watch_writable_ = false;
  bool lower_readable_ = false;
  bool lower_writable_ = false;
  bool abort_ = false;
  env::EventLoop::TimerId timer_ = 0;
};

class Handshake final : public TlsHandshake {
 public:
  Handshake(env::EventLoop& loop, Done done) : loop_(loop), done_(std::move(done)) {}
  ~Handshake() override {
    if (timer_ != 0) loop_.Cancel(timer_);
  }

  void Begin(std::unique_ptr<TlsStream> stream, bool speaks_first, Duration time_max) {
    stream_ = std::move(stream);
    stream_->BeginHandshake(speaks_first, [this](const Status& outcome) { End(outcome); });
    timer_ = loop_.RunAfter(time_max, [this, time_max] {
      End(DeadlineExceeded(
          Concat("the TLS handshake takes longer than ", ToMicroseconds(time_max) / 1000, " ms")));
    });
  }
  void FailSoon(const Status& why) {
    timer_ = loop_.RunAt(loop_.Now(), [this, why] { End(why); });
  }

 private:
  // May destroy this.
  void End(const Status& outcome) {
    loop_.Cancel(std::exchange(timer_, 0));
    Done done = std::move(done_);
    if (!outcome.ok()) return done(outcome);
    std::string protocol = stream_->engine().Protocol();
    auto shown = stream_->engine().Shown();
    done(TlsConnection{std::move(stream_), std::move(protocol), std::move(shown)});
  }

  env::EventLoop& loop_;
  Done done_;
  std::unique_ptr<TlsStream> stream_;
  env::EventLoop::TimerId timer_ = 0;
};

}  // namespace

std::unique_ptr<TlsHandshake> TlsHandshake::StartServer(env::EventLoop& loop,
                                                        std::shared_ptr<const TlsContext> context,
                                                        std::unique_ptr<env::Stream> stream,
                                                        Duration time_max, Done done) {
  TEPAL_CHECK(context->is_server());
  auto handshake = std::make_unique<Handshake>(loop, std::move(done));
  handshake->Begin(std::make_unique<TlsStream>(loop, std::move(context), std::move(stream)), false,
                   time_max);
  return handshake;
}

std::unique_ptr<TlsHandshake> TlsHandshake::StartClient(env::EventLoop& loop,
                                                        std::shared_ptr<const TlsContext> context,
                                                        std::unique_ptr<env::Stream> stream,
                                                        const std::string& host,
                                                        const std::vector<std::string>& alpn,
                                                        Duration time_max, Done done) {
  TEPAL_CHECK(!context->is_server());
  auto handshake = std::make_unique<Handshake>(loop, std::move(done));
  auto tls = std::make_unique<TlsStream>(loop, std::move(context), std::move(stream));
  Status ready = tls->engine().ExpectServer(host);
  if (ready.ok()) ready = tls->engine().OfferProtocols(alpn);
  if (ready.ok()) {
    handshake->Begin(std::move(tls), true, time_max);
  } else {
    handshake->FailSoon(ready);
  }
  return handshake;
}

}  // namespace tepal::net
