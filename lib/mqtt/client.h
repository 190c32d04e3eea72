// SPDX-License-Identifier: MIT
// A connection to an MQTT broker, driven from io::Loop. The only class that knows libmosquitto.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "mqtt/message.h"

namespace fieldpipe::mqtt {

// What can be checked before connecting. Fail with kUsage.
Result<void> check_topic(const std::string& topic);
Result<void> check_filter(const std::string& filter);

// Whether `topic` is among those that `filter` selects (MQTT 5 section 4.7).
bool matches(const std::string& filter, const std::string& topic);

// The broker has taken a publish, or refused it.
struct Acknowledgement {
  int packet_id;
  int reason;  // 0x80 and above: refused. Before MQTT 5 a refusal looks like success
};

// What the broker granted for one filter: a QoS, or a reason from 0x80 on.
struct Grant {
  std::string filter;
  int asked;
  int granted;
};

// A turn of the owner's loop is
//
//   client.watch(loop);  loop.wait(client.deadline());
//   client.handle(loop);
//   use and clear received(), acknowledged(), grants(), notices();  publish(), subscribe()
//   client.write();
//
// Nothing leaves but in write() once the connection is up. Acknowledgements of received messages wait
// there too, so an owner that has kept what it received before it calls write() loses nothing when it
// dies; one that does not want to acknowledge must not call write() again.
//
// Connecting and name look-up block inside the library and so happen in a helper thread. The first
// attempt must succeed within kConnectTimeout, unless Connection::patient says otherwise. After that a
// connection that is lost is made again with a jittered delay, for as long as the owner goes on calling
// handle(); the library sends again what was published at QoS 1 and 2 and not acknowledged. MQTT 5 falls
// back to 3.1.1 on the first connection.
class Client {
 public:
  static constexpr std::chrono::seconds kConnectTimeout{10};
  static constexpr std::chrono::seconds kBarrierTimeout{5};

  // Checks everything that can be checked without a network (kUsage, kNoInput). Create io::Loop first:
  // the helper thread must not take its signals. With `trace`, notices() also tells each packet.
  static Result<Client> create(Connection connection, bool trace = false);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();  // closes without DISCONNECT and without writing anything

  void watch(io::Loop& loop) const;

  // When handle() wants to be called although nothing is ready.
  [[nodiscard]] MonotonicTime deadline() const;

  // Goes on connecting, reads what has come, at most `most_messages` messages, keeps the connection
  // alive. Fails when going on is pointless: the first connection failed, credentials were refused
  // (kDenied) or the broker refused for good (kRefused).
  Result<void> handle(const io::Loop& loop, std::size_t most_messages);

  // Hands everything that is queued to the system, as far as it takes it.
  void write();

  // CONNACK has come and the connection stands. publish() and subscribe() need that.
  [[nodiscard]] bool connected() const;

  // Connections made so far; a change tells the owner to subscribe again.
  [[nodiscard]] unsigned connections() const;

  // Whether the broker came back to a session that it had kept; without, what was waiting in one is gone.
  [[nodiscard]] bool session_present() const;

  // What the broker and we may have unacknowledged: `send_maximum`, or what its CONNACK allows.
  [[nodiscard]] std::size_t send_window() const;

  // Queues a message and gives its packet id, which acknowledged() tells when the broker has taken it
  // (QoS 1 and 2) or the system has (QoS 0). Fails with kRefused when the broker has said that it takes
  // no such message (size, QoS, retain), with kUsage for a topic that is none.
  Result<int> publish(const Outgoing& message);

  // Asks for all of `filters`; the answer appears in grants(), in the same order. `options` are those
  // of MQTT 5 section 3.8.3.1, without effect before.
  enum SubscribeOption : std::uint8_t { kNoOption = 0, kRetainAsPublished = 8 };
  Result<void> subscribe(std::span<const std::string> filters, int qos, unsigned options, const Properties& properties);
  Result<void> unsubscribe(std::span<const std::string> filters, const Properties& properties);

  // What handle() has collected. The owner clears them.
  std::vector<Received>& received();
  std::vector<Acknowledgement>& acknowledged();
  std::vector<Grant>& grants();
  std::vector<std::string>& notices();  // connection lost and made again, and so on: for stderr

  // Waits until the broker has read everything written so far: an UNSUBSCRIBE of a filter nobody uses
  // comes back after all before it. Messages that arrive meanwhile are dropped and, because nothing is
  // written any more, stay unacknowledged: so a subscriber leaves a session without repeats and without
  // gaps, by destroying the client next. Fails with kUnavailable after kBarrierTimeout or when the
  // connection is lost.
  Result<void> barrier(io::Loop& loop);

  // Closes so that the broker takes what was written, and nothing that is queued: no DISCONNECT. It waits
  // until the broker has read to the end and closed too; closing at once would make it drop what it has
  // not read, acknowledgements among them. Fails with kUnavailable after kBarrierTimeout.
  Result<void> abandon(io::Loop& loop);

  // Sends DISCONNECT behind everything queued and waits until it is out.
  Result<void> disconnect(io::Loop& loop);

 private:
  struct State;
  explicit Client(std::shared_ptr<State> state);

  // Shared with the helper thread, which cannot be interrupted and may outlive the Client.
  std::shared_ptr<State> state_;
};

}  // namespace fieldpipe::mqtt
