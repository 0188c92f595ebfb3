#include "network/net/tls_engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::net {

using Outcome = env::IoResult::Outcome;

// How OpenSSL reaches the stream below.
struct TlsEngine::Bio {
  static TlsEngine& Of(BIO* bio) { return *static_cast<TlsEngine*>(BIO_get_data(bio)); }

  static int Read(BIO* bio, char* into, size_t size, size_t* read) {
    BIO_clear_retry_flags(bio);
    const int outcome = Of(bio).ReadBelow(into, size, read);
    if (outcome < 0) BIO_set_retry_read(bio);
    return outcome > 0 ? 1 : 0;
  }
  static int Write(BIO* bio, const char* from, size_t size, size_t* written) {
    BIO_clear_retry_flags(bio);
    return Of(bio).WriteBelow(from, size, written);
  }
  static long Control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return Of(bio).lower_ended_ ? 1 : 0;
    return 0;
  }

  static const BIO_METHOD* Method() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tepal stream");
      TEPAL_CHECK(made != nullptr);
      BIO_meth_set_read_ex(made, Read);
      BIO_meth_set_write_ex(made, Write);
      BIO_meth_set_ctrl(made, Control);
      return made;
    }();
    return method;
  }
};

void TlsEngine::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsEngine::TlsEngine(std::shared_ptr<const TlsContext> context, std::unique_ptr<env::Stream> lower)
    : context_(std::move(context)), lower_(std::move(lower)), ssl_(SSL_new(context_->get())) {
  TEPAL_CHECK(ssl_ != nullptr);  // Only for want of memory.
  BIO* const bio = BIO_new(Bio::Method());
  TEPAL_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (context_->is_server()) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

TlsEngine::~TlsEngine() { ERR_clear_error(); }

Status TlsEngine::ExpectServer(const std::string& host) {
  const std::string& name = context_->server_name().empty() ? host : context_->server_name();
  X509_VERIFY_PARAM* const checks = SSL_get0_param(ssl_.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(checks, name.c_str()) == 1) return {};
  ERR_clear_error();
  SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (SSL_set1_host(ssl_.get(), name.c_str()) == 1 &&
      SSL_set_tlsext_host_name(ssl_.get(), name.c_str()) == 1) {
    return {};
  }
  ERR_clear_error();
  return InvalidArgument(Concat("'", name, "' cannot be the name of a TLS server"));
}

Status TlsEngine::OfferProtocols(const std::vector<std::string>& alpn) {
  std::string wire;
  for (const std::string& protocol : alpn) {
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(wire.data());
  if (!wire.empty() &&
      SSL_set_alpn_protos(ssl_.get(), bytes, static_cast<unsigned>(wire.size())) != 0) {
    return InvalidArgument("the ALPN protocols are not a valid list");
  }
  return {};
}

void TlsEngine::SetTime(WallTime now) {
  X509_VERIFY_PARAM_set_time(
      SSL_get0_param(ssl_.get()),
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
}

// 1: read; 0: the end or an error; -1: nothing now.
int TlsEngine::ReadBelow(char* into, size_t size, size_t* read) {
  *read = 0;
  if (lower_ended_ || read_error_ != 0) return 0;
  if (lower_drained_) return -1;
  const env::IoResult result = lower_->Read({reinterpret_cast<std::byte*>(into), size});
  switch (result.outcome) {
    case Outcome::kDone:
      *read = result.bytes;
      lower_drained_ = result.bytes < size;
      return 1;
    case Outcome::kWouldBlock:
      lower_drained_ = true;
      return -1;
    case Outcome::kEnd:
      lower_ended_ = true;
      return 0;
    case Outcome::kFailed:
      break;
  }
  FailReading(result.error);
  return 0;
}

// Takes everything; after an error, to throw it away.
int TlsEngine::WriteBelow(const char* from, size_t size, size_t* written) {
  *written = size;
  encrypted_made_ += size;
  if (lower_shut_) return 1;  // An alert after our end: for nobody.
  const auto* bytes = reinterpret_cast<const std::byte*>(from);
  if (!collecting_ && !queued()) SendDirectly(bytes, size);
  if (write_error_ != 0) return 1;
  queue_.insert(queue_.end(), bytes, bytes + size);
  return 1;
}

void TlsEngine::SendDirectly(const std::byte*& from, size_t& size) {
  while (size > 0 && write_error_ == 0) {
    const env::ConstBytes piece{from, size};
    const env::IoResult result = lower_->Write({&piece, 1});
    if (result.outcome == Outcome::kWouldBlock) return;
    if (result.outcome != Outcome::kDone) {
      write_error_ = result.error;
      return;
    }
    from += result.bytes;
    size -= result.bytes;
    encrypted_sent_ += result.bytes;
  }
}

void TlsEngine::Flush() {
  if (queued()) {
    const std::byte* from = queue_.data() + queue_sent_;
    size_t size = queue_.size() - queue_sent_;
    SendDirectly(from, size);
    queue_sent_ = queue_.size() - size;
    if (!queued() || write_error_ != 0) {
      queue_ = {};  // An idle connection holds no buffer.
      queue_sent_ = 0;
    }
  }
  CountTaken();
  if (queue_.size() - queue_sent_ < kQueueBytesForReading) {
    may_have_more_ = may_have_more_ || read_waits_;
    read_waits_ = false;
  }
  FinishClosing();
}

void TlsEngine::CountTaken() {
  while (!sealed_.empty() && sealed_.front().encrypted_end <= encrypted_sent_) {
    taken_ += sealed_.front().bytes;
    sealed_.pop_front();
  }
}

void TlsEngine::FailReading(int error) {
  if (read_error_ == 0) read_error_ = error;
}

TlsEngine::Step TlsEngine::Handshake() {
  lower_drained_ = false;
  Flush();
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) {
    established_ = true;
    // What came with the last message of the handshake.
    may_have_more_ = SSL_has_pending(ssl_.get()) == 1;
    return Step::kDone;
  }
  if (SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_WANT_READ) return Step::kWait;
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  if (lower_ended_) {
    reason_ = "the peer has closed the connection";
  } else if (read_error_ != 0) {
    reason_ = Status::FromErrno(read_error_, "the connection").message();
  } else {
    reason_ = reason != nullptr ? reason : "unknown error";
  }
  ERR_clear_error();
  FailReading(lower_ended_ ? ECONNRESET : EPROTO);
  return Step::kFailed;
}

Status TlsEngine::HandshakeError() const {
  const long verified = SSL_get_verify_result(ssl_.get());
  if (verified != X509_V_OK && SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE) {
    return {StatusCode::kUnauthenticated, Concat("the peer's certificate is not accepted: ",
                                                 X509_verify_cert_error_string(verified))};
  }
  return Unavailable(reason_);
}

std::string TlsEngine::Protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return std::string(reinterpret_cast<const char*>(name), size);
}

std::shared_ptr<const PeerCertificates> TlsEngine::Shown() const {
  X509* const leaf = context_->is_server() ? SSL_get0_peer_certificate(ssl_.get()) : nullptr;
  if (leaf == nullptr) return nullptr;
  auto shown = std::make_shared<PeerCertificates>();
  const auto add = [&shown](X509* one) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(one, &der);
    if (size <= 0) return;
    shown->chain.emplace_back(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
  };
  add(leaf);
  // On this side the chain is without the leaf.
  const STACK_OF(X509)* const others = SSL_get_peer_cert_chain(ssl_.get());
  for (int i = 0; i < sk_X509_num(others); ++i) add(sk_X509_value(others, i));
  return shown;
}

env::IoResult TlsEngine::Read(std::span<std::byte> into) {
  if (read_error_ != 0) return {Outcome::kFailed, 0, read_error_};
  if (read_ended_) return {Outcome::kEnd, 0, 0};
  lower_drained_ = false;
  may_have_more_ = false;
  size_t bytes = 0;
  while (bytes < into.size()) {
    read_waits_ = queue_.size() - queue_sent_ >= kQueueBytesForReading;
    if (read_waits_) break;
    ERR_clear_error();
    size_t some = 0;
    if (SSL_read_ex(ssl_.get(), into.data() + bytes, into.size() - bytes, &some) == 1) {
      bytes += some;
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), 0);
    if (why == SSL_ERROR_WANT_READ) break;
    if (why == SSL_ERROR_ZERO_RETURN) {
      read_ended_ = true;
    } else {
      // An end without close_notify: somebody may have cut the connection short.
      FailReading(lower_ended_ ? ECONNRESET : EPROTO);
    }
    ERR_clear_error();
    break;
  }
  if (bytes > 0) {
    may_have_more_ = bytes == into.size() && SSL_has_pending(ssl_.get()) == 1;
    return {Outcome::kDone, bytes, 0};
  }
  if (read_error_ != 0) return {Outcome::kFailed, 0, read_error_};
  return {read_ended_ ? Outcome::kEnd : Outcome::kWouldBlock, 0, 0};
}

env::IoResult TlsEngine::Write(std::span<const env::ConstBytes> pieces) {
  TEPAL_CHECK(!write_shut_);
  Flush();
  if (write_error_ == 0 && taken_ == 0 && !queued()) {
    SealPieces(pieces);
    collecting_ = false;
    Flush();
  }
  if (write_error_ != 0) return {Outcome::kFailed, 0, write_error_};
  if (taken_ == 0) return {};
  size_t offered = 0;
  for (const env::ConstBytes& piece : pieces) offered += piece.size;
  const size_t reported = std::min(taken_, offered);
  taken_ -= reported;
  return {Outcome::kDone, reported, 0};
}

bool TlsEngine::Seal(std::span<const std::byte> plain) {
  ERR_clear_error();
  size_t bytes = 0;
  if (SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &bytes) != 1) {
    ERR_clear_error();
    write_error_ = EPROTO;
    return false;
  }
  TEPAL_CHECK(bytes == plain.size());  // The queue takes everything.
  sealed_.push_back({encrypted_made_, bytes});
  return true;
}

// Small pieces share a record; a record's worth in one piece is encrypted from where it lies.
void TlsEngine::SealPieces(std::span<const env::ConstBytes> pieces) {
  size_t total = 0;
  for (const env::ConstBytes& piece : pieces) total += piece.size;
  collecting_ = total > kRecordBytesMax;
  if (collecting_) queue_.reserve(std::min(total, kQueueBytesMax) + 2 * kRecordBytesMax);
  std::array<std::byte, kRecordBytesMax> gathered;
  size_t gathered_bytes = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    std::span<const std::byte> rest(pieces[i].data, pieces[i].size);
    while (!rest.empty()) {
      if (queue_.size() >= kQueueBytesMax) return;  // What was gathered will be offered again.
      const bool whole_record = rest.size() >= kRecordBytesMax || i + 1 == pieces.size();
      const size_t room = kRecordBytesMax - gathered_bytes;
      const size_t part = std::min(rest.size(), room);
      if (gathered_bytes == 0 && whole_record) {
        if (!Seal(rest.first(part))) return;
      } else {
        std::memcpy(gathered.data() + gathered_bytes, rest.data(), part);
        gathered_bytes += part;
        if (gathered_bytes == kRecordBytesMax) {
          if (!Seal(gathered)) return;
          gathered_bytes = 0;
        }
      }
      rest = rest.subspan(part);
    }
  }
  if (gathered_bytes > 0) Seal(std::span(gathered).first(gathered_bytes));
}

void TlsEngine::CloseWriting() {
  if (write_shut_ || write_error_ != 0) return;
  write_shut_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  FinishClosing();
}

void TlsEngine::FinishClosing() {
  if (!write_shut_ || lower_shut_ || queued() || write_error_ != 0) return;
  lower_shut_ = true;
  lower_->ShutdownWrite();
}

void TlsEngine::SayGoodbye() {
  if (!established_ || write_shut_ || queued() || read_error_ != 0 || write_error_ != 0) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace tepal::net
