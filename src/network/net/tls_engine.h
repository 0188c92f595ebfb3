// OpenSSL between two streams of bytes, without events: what is read is decrypted, what is written
// is encrypted into a queue that is flushed to the stream below. Used by tls_stream.cc only.
//
// OpenSSL reads from the stream directly. What it writes goes to the stream directly too while a
// small answer is sent; the records of a large one are collected, so that one write of the socket
// carries several. The queue is bounded: nothing is encrypted while it is not empty, and nothing is
// read while it is so long that a peer must be making us answer (KeyUpdate) without reading.
//
// A failed write does not end reading: a server may answer and close before it has read everything.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/env/network.h"
#include "network/net/tls.h"
#include "network/net/tls_peer.h"

struct ssl_st;  // OpenSSL's SSL.
struct bio_st;

namespace tepal::net {

class TlsEngine {
 public:
  TlsEngine(std::shared_ptr<const TlsContext> context, std::unique_ptr<env::Stream> lower);
  ~TlsEngine();

  env::Stream& lower() { return *lower_; }
  const env::Stream& lower() const { return *lower_; }

  // For clients, before the handshake.
  Status ExpectServer(const std::string& host);
  Status OfferProtocols(const std::vector<std::string>& alpn);
  // Certificates are checked at this time.
  void SetTime(WallTime now);

  enum class Step { kDone, kWait, kFailed };
  Step Handshake();
  Status HandshakeError() const;
  std::string Protocol() const;
  // Servers: null when the client has shown none.
  std::shared_ptr<const PeerCertificates> Shown() const;

  // As of env::Stream.
  env::IoResult Read(std::span<std::byte> into);
  env::IoResult Write(std::span<const env::ConstBytes> pieces);

  // Sends close_notify and then the end of the stream below, as soon as what is queued has gone.
  void CloseWriting();
  // For a destructor: close_notify if it can be sent at once.
  void SayGoodbye();

  void Flush();
  bool queued() const { return queue_sent_ < queue_.size(); }
  // Whether Read, or Write, would have something to say though nothing happens below.
  bool ReadReady() const { return may_have_more_ || read_ended_ || read_error_ != 0; }
  bool WriteReady() const { return taken_ > 0 || write_error_ != 0; }
  bool read_failed() const { return read_error_ != 0; }
  bool write_failed() const { return write_error_ != 0; }
  // Reading goes on when the queue has become shorter.
  bool read_waits() const { return read_waits_; }

 private:
  struct Bio;
  // Plain bytes that have all gone to the stream below when `encrypted_end` of its bytes have.
  struct Sealed {
    uint64_t encrypted_end;
    size_t bytes;
  };
  static constexpr size_t kRecordBytesMax = 16 * 1024;  // RFC 8446 section 5.1.
  static constexpr size_t kQueueBytesMax = 128 * 1024;  // Passed by less than two records.
  static constexpr size_t kQueueBytesForReading = 256 * 1024;

  int ReadBelow(char* into, size_t size, size_t* read);
  int WriteBelow(const char* from, size_t size, size_t* written);
  void SendDirectly(const std::byte*& from, size_t& size);
  bool Seal(std::span<const std::byte> plain);
  void SealPieces(std::span<const env::ConstBytes> pieces);
  void CountTaken();
  void FinishClosing();
  void FailReading(int error);

  const std::shared_ptr<const TlsContext> context_;
  const std::unique_ptr<env::Stream> lower_;
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  std::unique_ptr<ssl_st, Free> ssl_;

  bool lower_drained_ = false;  // A read gave less than there was room for.
  bool lower_ended_ = false;
  bool lower_shut_ = false;
  bool collecting_ = false;
  bool established_ = false;
  bool may_have_more_ = false;
  bool read_waits_ = false;
  bool read_ended_ = false;
  bool write_shut_ = false;
  int read_error_ = 0;  // An errno.
  int write_error_ = 0;
  std::string reason_;

  std::vector<std::byte> queue_;  // Encrypted bytes.
  size_t queue_sent_ = 0;
  uint64_t encrypted_made_ = 0;
  uint64_t encrypted_sent_ = 0;
  std::deque<Sealed> sealed_;
  size_t taken_ = 0;  // Plain bytes that have gone and were not reported yet.
};

}  // namespace tepal::net
