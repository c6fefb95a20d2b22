<?php

declare(strict_types=1);

namespace Harbour;

/**
 * The visitor's session: a random cookie, its values in Redis. A visitor who only looks costs no entry, because
 * nothing is written before there is something to keep; form tokens are derived from the cookie.
 */
final class Session
{
    private const COOKIE = 'harbour';
    private const SECONDS = 14 * 86400;

    /** @var array<string, mixed> */
    private array $values = [];
    private string $id;
    private bool $changed = false;

    public function __construct(private readonly Request $request)
    {
        $id = $request->cookie(self::COOKIE);
        if (preg_match('/^[0-9a-f]{48}$/D', $id) === 1) {
            $this->id = $id;
            $stored = Cache::connection()->get($this->key());
            $this->values = is_string($stored) ? (array) json_decode($stored, true) : [];
        } else {
            $this->start();
        }
    }

    private function key(): string
    {
        // Hashed, so that a look into Redis does not hand out sessions.
        return 'session:' . hash('sha256', $this->id);
    }

    private function start(): void
    {
        $this->id = bin2hex(random_bytes(24));
        setcookie(self::COOKIE, $this->id, [
            'expires' => time() + self::SECONDS,
            'path' => '/',
            'httponly' => true,
            'samesite' => 'Lax',
            'secure' => $this->request->isSecure(),
        ]);
    }

    /** A new id for the same values: on every change of who is signed in. */
    public function renew(): void
    {
        Cache::connection()->del($this->key());
        $this->start();
        $this->changed = true;
    }

    public function get(string $name): mixed
    {
        return $this->values[$name] ?? null;
    }

    public function set(string $name, mixed $value): void
    {
        $this->values[$name] = $value;
        $this->changed = true;
    }

    public function remove(string $name): void
    {
        if (array_key_exists($name, $this->values)) {
            unset($this->values[$name]);
            $this->changed = true;
        }
    }

    public function say(string $message): void
    {
        $this->set('message', $message);
    }

    /** The message for the next page, once. */
    public function takeMessage(): ?string
    {
        $message = $this->get('message');
        $this->remove('message');

        return $message;
    }

    public function token(): string
    {
        return hash_hmac('sha256', $this->id, Platform::secret());
    }

    public function save(): void
    {
        if ($this->changed) {
            Cache::connection()->setex($this->key(), self::SECONDS, json_encode($this->values, JSON_THROW_ON_ERROR));
            $this->changed = false;
        }
    }
}
