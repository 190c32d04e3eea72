// SPDX-License-Identifier: MIT
#include "flexconnect/packer.h"

#include <csignal>
#include <utility>

namespace fieldpipe::flexconnect {

class Packer::Press {
 public:
  Press(std::optional<int> level, record::Framing binary) : binary_(binary) {
    if (level) compressor_.emplace(*level);
  }

  Result<void> run(Form form, Bytes message, std::string& out) {
    if (compressor_) {
      packed_.clear();
      auto done = form == Form::kJson ? compress_json(*compressor_, as_text(message), packed_)
                                      : compress_binary(*compressor_, message, packed_);
      if (!done) return done;
      message = as_bytes(packed_);
    }
    return record::append_record(out, form == Form::kJson ? record::Framing::kLines : binary_, message);
  }

 private:
  record::Framing binary_;
  std::optional<gzip::Compressor> compressor_;
  std::string packed_;
};

Packer::Packer(std::optional<int> level, unsigned threads, record::Framing binary)
    : level_(level),
      binary_(binary),
      own_press_(std::make_unique<Press>(level, binary)),
      threaded_(level && threads > 1) {}

Packer::~Packer() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

Result<void> Packer::add(Form form, Bytes message, std::string& out) {
  if (!threaded_) return own_press_->run(form, message, out);
  {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) spare_.emplace_back();
    jobs_.push_back(std::move(spare_.back()));
    spare_.pop_back();
    Job& job = jobs_.back();
    job.form = form;
    job.message.assign(as_text(message));
    job.finished.clear();
    job.state = State::kWaiting;
  }
  // A single message between two waits, as on a quiet bus, is not worth a thread.
  if (!worker_.joinable() && jobs_.size() > 1) {
    // Signals are for the thread that waits for them; a thread inherits the mask.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    worker_ = std::thread([this] { work_until_closed(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  changed_.notify_all();
  return emit_until(kMaxJobs - 1, out);
}

Result<void> Packer::drain(std::string& out) { return emit_until(0, out); }

Packer::Job* Packer::next_waiting() {
  for (Job& job : jobs_) {
    if (job.state == State::kWaiting) return &job;
  }
  return nullptr;
}

void Packer::run(Job& job, Press& press, std::unique_lock<std::mutex>& lock) {
  job.state = State::kRunning;
  lock.unlock();
  Result<void> result = press.run(job.form, as_bytes(job.message), job.finished);
  lock.lock();
  job.result = std::move(result);
  job.state = State::kDone;
  changed_.notify_all();
}

void Packer::work_until_closed() {
  Press press(level_, binary_);
  std::unique_lock lock(mutex_);
  for (;;) {
    Job* job = nullptr;
    changed_.wait(lock, [&] { return closed_ || (job = next_waiting()) != nullptr; });
    if (closed_) return;
    run(*job, press, lock);
  }
}

// Appends what is done at the front; the rest has to wait for it.
Result<void> Packer::emit_done(std::string& out) {
  while (!jobs_.empty() && jobs_.front().state == State::kDone) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    if (!job.result) return std::move(job.result);
    out += job.finished;
    spare_.push_back(std::move(job));
  }
  return {};
}

Result<void> Packer::emit_until(std::size_t most_left, std::string& out) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (auto emitted = emit_done(out); !emitted) return emitted;
    if (jobs_.size() <= most_left) return {};
    if (Job* job = next_waiting()) {
      run(*job, *own_press_, lock);
    } else {
      changed_.wait(lock, [&] { return jobs_.front().state == State::kDone; });
    }
  }
}

}  // namespace fieldpipe::flexconnect
