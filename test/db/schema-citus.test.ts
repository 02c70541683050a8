/** What Citus asks of the tables, read off the schema: no server is needed for that. */
import { getTableName, is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { DISTRIBUTED, DISTRIBUTION_COLUMN, REFERENCE } from '../../db/distribute.ts'
import * as schema from '../../db/schema.ts'

const tables = Object.values(schema).filter((value) => is(value, PgTable))
const isDistributed = (table: PgTable): boolean => DISTRIBUTED.includes(table)

test('every table of the schema is either distributed or a reference table', () => {
  expect([...DISTRIBUTED, ...REFERENCE].map(getTableName).toSorted()).toEqual(
    tables.map(getTableName).toSorted(),
  )
  expect(tables.length).toBeGreaterThan(25)
})

describe.each(DISTRIBUTED.map((table) => ({ name: getTableName(table), table })))(
  '$name, which is distributed,',
  ({ table }) => {
    const { columns, primaryKeys, uniqueConstraints, indexes, foreignKeys } = getTableConfig(table)

    test('has an entity, of the same type as all others, that is never null', () => {
      const [entity, ...others] = columns.filter(({ name }) => name === DISTRIBUTION_COLUMN)
      expect(others).toEqual([])
      expect(entity).toMatchObject({ notNull: true })
      expect(entity?.getSQLType()).toBe('text collate "C"')
    })

    test('has entity in its primary key and in whatever else is unique', () => {
      const keys = [
        ...primaryKeys.map((key) => key.columns.map(({ name }) => name)),
        ...columns.filter(({ primary, isUnique }) => primary || isUnique).map(({ name }) => [name]),
        ...uniqueConstraints.map((constraint) => constraint.columns.map(({ name }) => name)),
        ...indexes
          .filter(({ config }) => config.unique)
          .map(({ config }) =>
            config.columns.map((column) => ('name' in column ? column.name : '')),
          ),
      ]
      expect(keys).not.toEqual([])
      for (const key of keys) expect(key).toContain(DISTRIBUTION_COLUMN)
    })

    test('points at other distributed tables by entity, at its own entity', () => {
      for (const foreignKey of foreignKeys) {
        const { columns: from, foreignTable, foreignColumns } = foreignKey.reference()
        if (!isDistributed(foreignTable)) continue
        const at = from.findIndex(({ name }) => name === DISTRIBUTION_COLUMN)
        expect(foreignColumns[at]?.name).toBe(DISTRIBUTION_COLUMN)
      }
    })
  },
)

test.each(REFERENCE.map((table) => ({ name: getTableName(table), table })))(
  '$name, which is copied to every server, points at no table that is distributed',
  ({ table }) => {
    const targets = getTableConfig(table).foreignKeys.map((key) => key.reference().foreignTable)
    expect(targets.filter(isDistributed).map(getTableName)).toEqual([])
  },
)
