<?php

declare(strict_types=1);

namespace Harbour;

/** Collects rows for one table and writes them many at a time: one prepared statement, reused. */
final class Batch
{
    private const ROWS = 250;

    /** @var list<mixed> */
    private array $values = [];
    private int $rows = 0;
    private ?\PDOStatement $full = null;

    /**
     * @param list<string> $columns
     * @param self|null $after rows here refer to rows there, which therefore are written first
     */
    public function __construct(private readonly string $table, private readonly array $columns, private readonly ?self $after = null)
    {
    }

    /** @param list<mixed> $row in the order of the columns */
    public function add(array $row): void
    {
        array_push($this->values, ...$row);
        if (++$this->rows === self::ROWS) {
            $this->flush();
        }
    }

    public function flush(): void
    {
        if ($this->rows === 0) {
            return;
        }
        $this->after?->flush();
        $statement = $this->rows === self::ROWS ? ($this->full ??= $this->prepare(self::ROWS)) : $this->prepare($this->rows);
        $statement->execute($this->values);
        $this->values = [];
        $this->rows = 0;
    }

    private function prepare(int $rows): \PDOStatement
    {
        $row = '(' . implode(', ', array_fill(0, count($this->columns), '?')) . ')';

        return Database::connection()->prepare(sprintf(
            'INSERT INTO %s (%s) VALUES %s',
            $this->table,
            implode(', ', $this->columns),
            implode(', ', array_fill(0, $rows, $row)),
        ));
    }
}
