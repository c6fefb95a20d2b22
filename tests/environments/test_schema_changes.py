"""Migrations in a change: what they are told to do, what is marked, and files that are made to hurt."""

from time import process_time

import pytest

from environments import schema_changes
from environments.schema_changes import Changed, Migration


def only(path: str, new: str, old: str = "") -> Migration:
    found = schema_changes.read([Changed(path, new, old)])
    assert len(found.migrations) == 1
    return found.migrations[0]


def told(path: str, new: str, old: str = "") -> list[str]:
    """Sentences; those that destroy begin with "!"."""
    return [("! " if each.destructive else "") + each.text for each in only(path, new, old).statements]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("shop/migrations/0042_order_lines_vat.py", "django"),
        ("shop/migrations/__init__.py", ""),
        ("shop/tests/migrations/0001_initial.py", ""),
        ("alembic/versions/ae1027a6acf_add.py", "alembic"),
        ("database/migrations/2026_01_02_000000_create_flights_table.php", "php"),
        ("src/Migrations/Version20260102.php", "php"),
        ("migrations/2026/Version20260102.php", "php"),
        ("vendor/acme/migrations/Version20260102.php", ""),
        ("app/code/Acme/Vat/etc/db_schema.xml", "magento-schema"),
        ("app/code/Acme/Vat/etc/db_schema_whitelist.json", ""),
        ("app/code/Acme/Vat/Setup/UpgradeSchema.php", "magento-script"),
        ("app/code/Acme/Vat/Setup/Patch/Data/AddVat.php", "magento-script"),
        ("app/code/Acme/Vat/Model/Setup.php", ""),
        ("sql/2026-01-02.sql", "sql"),
        ("shop/models.py", ""),
        ("migrations/notes.md", ""),
    ],
)
def test_migrations_are_known_by_where_they_are(path: str, kind: str) -> None:
    assert schema_changes.kind_of(path) == kind


def test_what_django_does_is_told_and_what_destroys_is_marked() -> None:
    text = '''
from django.db import migrations, models

def fill(apps, schema_editor):
    """migrations.DeleteModel("Nothing")"""

class Migration(migrations.Migration):
    dependencies = [("shop", "0041_x")]
    operations = [
        migrations.CreateModel(name="Basket", fields=[("id", models.AutoField(primary_key=True))]),
        migrations.AddField(model_name="orderline", name="vat", field=models.DecimalField(default=0, max_digits=5)),
        migrations.RemoveField("product", "sku_old"),
        migrations.RenameField(model_name="product", old_name="a", new_name="b"),
        migrations.DeleteModel(name='Voucher'),
        # migrations.DeleteModel(name='Comment'),
        migrations.AlterField(model_name="product", name="title", field=models.CharField(max_length=10)),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL("UPDATE shop_product SET x = 1; DELETE FROM logs", reverse_sql="DROP TABLE shop_product"),
        migrations.RunSQL(sql=["TRUNCATE shop_log"]),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel("Kept")], database_operations=[],
        ),
    ]
'''
    assert told("shop/migrations/0042_vat.py", text) == [
        "creates the model shop.Basket",
        "adds the column vat to shop.orderline",
        "! drops the column sku_old of shop.product",
        "! renames the column a of shop.product to b",
        "! drops the table of shop.Voucher",
        "changes the column title of shop.product",
        "runs code of its own: fill",
        "changes all rows of shop_product",
        "! deletes all rows of logs",
        "! empties shop_log",
    ]


def test_a_migration_is_called_by_its_file() -> None:
    migration = only("shop/migrations/0042_vat.py", "class Migration: pass")
    assert (migration.name, migration.kind, migration.destructive) == ("0042_vat", "django", False)


def test_a_module_beside_djangos_migrations_is_none() -> None:
    assert schema_changes.read([Changed("shop/migrations/helpers.py", "X = 1\n")]).migrations == ()


def test_alembic_is_read_up_to_its_way_back() -> None:
    text = """
def upgrade():
    op.add_column("account", sa.Column("last", sa.DateTime))
    op.drop_column('account', 'old')
    op.alter_column("account", "name", type_=sa.String(10))
    op.execute("DROP TABLE spare")

def downgrade():
    op.drop_table("account")
"""
    assert told("alembic/versions/1_x.py", text) == [
        "adds a column to account",
        "! drops the column old of account",
        "! changes the type of name of account, which may cut what it holds",
        "! drops the table spare",
    ]


def test_laravel_is_read_without_its_way_back() -> None:
    text = """<?php
return new class extends Migration {
    public function up(): void {
        Schema::create('flights', function (Blueprint $table) {
            $table->id();
            $table->string('name');
        });
        Schema::table('users', function (Blueprint $table) {
            $table->dropColumn(['votes', 'avatar']);
            $table->string('code', 5)->nullable()->change();
            $table->renameColumn('a', 'b');
            // $table->dropColumn('kept');
        });
        Schema::dropIfExists('old');
        DB::statement('ALTER TABLE users DROP COLUMN age');
        DB::table('sessions')->truncate();
        DB::table('logs')->where('age', '>', 3)->delete();
        DB::table('logs')->delete();
        User::create(['name' => 'x']);
    }
    public function down(): void {
        Schema::drop('flights');
    }
};
"""
    assert told("database/migrations/2026_01_02_000000_x.php", text) == [
        "creates the table flights",
        "adds the column name to flights",
        "! drops the column votes of users",
        "! drops the column avatar of users",
        "! changes the type of code of users, which may cut what it holds",
        "! renames the column a of users to b",
        "! drops the table old",
        "! empties a table",
        "! may delete all rows of a table",
        "! drops the column age of users",
    ]


def test_doctrine_is_read_by_the_sql_it_adds() -> None:
    text = """<?php
final class Version20260102 extends AbstractMigration {
    public function getDescription(): string { return 'Drop nothing'; }
    public function up(Schema $schema): void {
        $this->addSql('ALTER TABLE product ADD vat NUMERIC(5, 2) DEFAULT NULL, DROP sku');
        $this->addSql(<<<SQL
            CREATE TABLE basket (id INT NOT NULL)
            SQL);
        $schema->dropTable('spare');
    }
    public function down(Schema $schema): void { $this->addSql('DROP TABLE basket'); }
}
"""
    assert told("migrations/Version20260102.php", text) == [
        "! drops the table spare",
        "adds the column vat to product",
        "! drops the column sku of product",
        "creates the table basket",
    ]


def test_setup_scripts_of_magento_are_read() -> None:
    text = """<?php
class UpgradeSchema implements UpgradeSchemaInterface {
    public function upgrade(SchemaSetupInterface $setup, ModuleContextInterface $context) {
        $setup->getConnection()->addColumn($setup->getTable('quote'), 'vat', ['type' => Table::TYPE_DECIMAL]);
        $setup->getConnection()->dropColumn($setup->getTable('quote'), 'old');
        $setup->getConnection()->dropTable('acme_spare');
        $setup->getConnection()->delete($setup->getTable('acme_log'));
        $setup->getConnection()->delete($setup->getTable('acme_log'), ['age > ?' => 3]);
    }
}
"""
    assert told("app/code/Acme/Vat/Setup/UpgradeSchema.php", text) == [
        "adds the column vat to quote",
        "! drops the column old of quote",
        "! drops the table acme_spare",
        "! may delete all rows of acme_log",
    ]


SCHEMA = """<?xml version="1.0"?>
<schema xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <table name="acme_vat" resource="default">
    <column xsi:type="int" name="id" unsigned="true" nullable="false"/>
    <column xsi:type="varchar" name="code" length="32"/>
    <column xsi:type="smallint" name="rate"/>
    <column xsi:type="text" name="note"/>
    <constraint xsi:type="primary" referenceId="PRIMARY"><column name="id"/></constraint>
  </table>
  <table name="acme_log"><column xsi:type="int" name="id"/></table>
</schema>
"""


def test_declarative_schemas_are_compared() -> None:
    new = (
        SCHEMA.replace('length="32"', 'length="16"')
        .replace('xsi:type="smallint" name="rate"', 'xsi:type="int" name="rate"')
        .replace('<column xsi:type="text" name="note"/>', '<column xsi:type="decimal" name="share"/>')
        .replace('<table name="acme_log">', '<table name="acme_log" disabled="true">')
        .replace("</schema>", '<table name="acme_new"/></schema>')
    )
    assert told("app/code/Acme/Vat/etc/db_schema.xml", new, SCHEMA) == [
        "! drops the table acme_log",
        "creates the table acme_new",
        "! drops the column note of acme_vat",
        "! narrows the column code of acme_vat, which may cut what it holds",
        "changes the column rate of acme_vat",
        "adds the column share to acme_vat",
    ]


def test_a_schema_that_is_removed_drops_its_tables() -> None:
    found = schema_changes.read([Changed("a/etc/db_schema.xml", "", SCHEMA, deleted=True)])
    assert found.destructive == 1
    assert len(found.migrations[0].statements) == 2


def test_other_migrations_that_are_removed_undo_nothing() -> None:
    assert schema_changes.read([Changed("a.sql", None, "CREATE TABLE a (b int)", deleted=True)]).migrations == ()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE TABLE IF NOT EXISTS `shop`.`a` (b INT, c INT);", ["creates the table shop.a"]),
        (
            "ALTER TABLE a ADD COLUMN b DECIMAL(5,2), ADD INDEX c (b)",
            ["adds the column b to a", "adds an index or a rule to a"],
        ),
        (
            "alter table a drop column b, drop constraint c",
            ["! drops the column b of a", "removes an index or a rule of a"],
        ),
        ("ALTER TABLE a DROP FOREIGN KEY c", ["removes an index or a rule of a"]),
        ("ALTER TABLE a RENAME TO b", ["! renames the table a to b"]),
        ("ALTER TABLE a RENAME COLUMN b TO c", ["! renames the column of a b to c"]),
        ("ALTER TABLE a CHANGE b c INT", ["! renames the column of a b to c"]),
        ("ALTER TABLE a MODIFY b VARCHAR(5)", ["! changes the type of b of a, which may cut what it holds"]),
        ("ALTER TABLE a MODIFY COLUMN b LONGTEXT", ["widens the column b of a"]),
        (
            "ALTER TABLE a ALTER COLUMN b TYPE int USING b::int",
            ["! changes the type of b of a, which may cut what it holds"],
        ),
        ("ALTER TABLE a ALTER b SET NOT NULL", ["makes b of a required"]),
        ("ALTER TABLE a TRUNCATE PARTITION p0", ["! empties a partition of a"]),
        ("DROP TABLE IF EXISTS a, b CASCADE", ["! drops the table a", "! drops the table b"]),
        (
            "DROP VIEW v; DROP INDEX i; DROP SCHEMA s",
            ["! drops the view v", "removes the index i", "! drops the schema s"],
        ),
        ("TRUNCATE TABLE a", ["! empties a"]),
        ("DELETE FROM a", ["! deletes all rows of a"]),
        ("DELETE FROM a WHERE 1=1", ["! deletes all rows of a"]),
        ("DELETE FROM a WHERE b = 1", ["deletes rows of a"]),
        ("UPDATE a SET b = 1 WHERE c", ["changes rows of a"]),
        ("RENAME TABLE a TO b", ["! renames the table a to b"]),
        ("INSERT INTO a VALUES ('DROP TABLE b; DROP TABLE c')", ["adds rows to a"]),
        ("-- DROP TABLE a\n/* DROP TABLE b */ SELECT 1", []),
        ("/*!40101 DROP TABLE a */", ["! drops the table a"]),
        ("DO $$ BEGIN DROP TABLE a; END $$", ["! drops the table a"]),
        ("SELECT '\\'; DROP TABLE a; --'", ["! drops the table a"]),
        ("CREATE TABLE a (b INT REFERENCES c ON DELETE CASCADE)", ["creates the table a"]),
        ("DROP/**/TABLE a", ["! drops the table a"]),
        ("DROP TABLE `a<script>`", ["! drops the table ?"]),
    ],
)
def test_sql_is_told_in_plain_words(sql: str, words: list[str]) -> None:
    assert told("x.sql", sql) == words


def test_of_a_file_that_was_there_only_what_is_new_is_told() -> None:
    assert told("x.sql", "CREATE TABLE a (b int);\nDROP TABLE c", "CREATE TABLE a (b int);") == ["! drops the table c"]


def test_what_destroys_finds_room_before_the_rest() -> None:
    migration = only("x.sql", "".join(f"INSERT INTO t{n} VALUES (1);" for n in range(100)) + "DROP TABLE x")
    assert (len(migration.statements), migration.more) == (40, 61)
    assert migration.statements[-1].destructive


def test_a_file_that_is_too_large_says_so() -> None:
    assert (
        only("x.sql", "DROP TABLE a;" + " " * schema_changes.MAX_CHARACTERS).unread
        == "Only its first 256 KiB were read."
    )
    found = schema_changes.read([Changed("x.sql", None)])
    assert found.migrations[0].unread == "It is too large to be read here."
    assert found.unread == 1


def test_too_many_migrations_are_counted() -> None:
    found = schema_changes.read([Changed(f"{n}.sql", "SELECT 1") for n in range(schema_changes.MOST + 7)])
    assert (len(found.migrations), found.more, found.unread) == (200, 7, 7)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><schema>&c;</schema>',
        "<schema><table",
        "\0",
        "<a>" * 50_000,
    ],
)
def test_a_schema_that_cannot_be_read_says_so(text: str) -> None:
    assert only("etc/db_schema.xml", text, SCHEMA).unread == "It is no schema that can be read."


PIECES = [
    *("'", '"', "(", "[", "{", "/*", "--", '"""', "\\", "`", " ", "a,"),
    *("DROP ", "DROP TABLE a ", "DROP TABLE a,", "DELETE FROM a ", "ALTER TABLE a ADD b, ", "WHERE "),
    *("migrations.RunSQL(", "op.execute('", "public function up() {", "$a->dropColumn(", "<<<A\n"),
    "Schema::table('a', function () { $t->string('b')",
]


@pytest.mark.parametrize(
    "path", ["a/migrations/x.py", "alembic/versions/x.py", "migrations/x.php", "x.sql", "etc/db_schema.xml"]
)
@pytest.mark.parametrize("piece", PIECES)
def test_hostile_files_are_read_in_little_time(path: str, piece: str) -> None:
    text = piece * (schema_changes.MAX_CHARACTERS // len(piece))
    begun = process_time()
    schema_changes.read([Changed(path, f"Migration {text}")])
    assert process_time() - begun < 5


def test_operations_that_are_hidden_in_others_are_suspected() -> None:
    text = "migrations.RunPython(" * 9 + "migrations.DeleteModel('a')" + ")" * 9
    assert "! holds operations in operations, too deep to be read" in told("a/migrations/x.py", f"Migration {text}")


def test_for_a_release_they_are_plain_data() -> None:
    found = schema_changes.read([Changed("x.sql", "DROP TABLE a")])
    assert found.plain() == [
        {
            "path": "x.sql",
            "kind": "sql",
            "name": "x",
            "statements": ({"text": "drops the table a", "destructive": True},),
            "more": 0,
            "unread": "",
            "destructive": True,
        }
    ]
